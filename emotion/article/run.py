"""Write the page, the article and the model cards of an output folder: ``scripts/report.py``."""

import logging
from pathlib import Path

from emotion.article.config import ReportConfig
from emotion.article.material import Material, ModelMaterial
from emotion.article.model_card import model_card
from emotion.article.page import render_page
from emotion.article.paper import require_paper_free, write_paper
from emotion.checkpoint import load
from emotion.evaluation import Attribution, occlusion, worst_mistakes
from emotion.files import marked, require_unchanged, require_writable
from emotion.isolation import isolated
from emotion.models import pick_device
from emotion.progress import working
from emotion.reporting import VALIDATION, audit_tables, read_audit_report

log = logging.getLogger(__name__)

PAGE, CARDS, PAPER = "report.html", "model_cards", "article"


@isolated()
def write_article(config: ReportConfig) -> list[Path]:
    """Write the page, the article and the model cards of ``config.output_dir``, from its files alone.

    Returns:
        What was written: the page, a card for each model whose checkpoint is there, and the document that shows the
        article's tables and figures.

    Raises:
        UserError: There is no report of a training, or a file that is not ours would be replaced.
    """
    output_dir = Path(config.output_dir)
    material = Material.read(output_dir)
    require_writable(output_dir / CARDS, "output_dir")
    page = output_dir / PAGE
    cards = {name: output_dir / CARDS / f"{name}.md" for name, each in material.models.items() if each.checkpoint}
    for path in (page, *cards.values()):
        require_unchanged(path, "output_dir")
    require_paper_free(output_dir / PAPER)
    with working("explaining mistakes"):
        attributions = {material.best.name: _explain_mistakes(material.best, config)}
    audit = read_audit_report(output_dir)
    _write(page, render_page(material, attributions, audit_tables(audit) if audit is not None else None))
    for name, path in cards.items():
        model = material.models[name]
        assert model.checkpoint is not None
        _write(path, model_card(load(model.checkpoint), model.entry.checkpoint_sha256))
    with working("drawing figures"):
        *_, preview = write_paper(material, output_dir / PAPER)
    for sentence in material.left_out:
        log.warning("%s", sentence)
    return [page, *cards.values(), preview]


def _explain_mistakes(model: ModelMaterial, config: ReportConfig) -> list[Attribution]:
    """Say which words speak for the labels of the most confident mistakes on validation, if its texts are there."""
    scored = model.scored.get(VALIDATION)
    if config.explain == 0 or scored is None or scored.texts is None or model.checkpoint is None:
        return []
    mistakes = worst_mistakes(scored.rows.labels.tolist(), scored.rows.probabilities, config.explain)
    if not mistakes:
        return []
    predictor = load(model.checkpoint, pick_device(config.accelerator))
    return occlusion(predictor, [scored.texts[each.place] for each in mistakes], [each.predicted for each in mistakes])


def _write(path: Path, text: str) -> None:
    with marked(path, "output_dir") as temporary:
        temporary.write_text(text, encoding="utf-8")
