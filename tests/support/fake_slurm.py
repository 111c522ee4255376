"""Slurm's commands, played by scripts that run each task of a job array at once on this machine."""

from pathlib import Path

_COMMANDS = {
    "sbatch": """
        script="$1"; id=$$
        read -r first last <<< "$(sed -n 's/^#SBATCH --array=\\([0-9]*\\)-\\([0-9]*\\).*/\\1 \\2/p' "$script")"
        for task in $(seq "${first:-0}" "${last:-0}"); do
            (
                export SLURM_JOB_ID=$((id + task)) SLURM_ARRAY_JOB_ID=$id SLURM_ARRAY_TASK_ID=$task SLURM_NTASKS=1 \\
                    SLURM_JOB_NUM_NODES=1 SLURM_JOB_NODELIST=localhost SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0 \\
                    SLURM_JOB_NAME=train
                echo RUNNING > "$STATES/${id}_$task"
                while :; do
                    rm -f "$STATES/../requeue_${id}_$task"
                    bash "$script"
                    [ -e "$STATES/../requeue_${id}_$task" ] || break
                done
                echo COMPLETED > "$STATES/${id}_$task"
            ) > /dev/null 2>&1 &
        done
        echo "Submitted batch job $id"
    """,
    "srun": """
        while [[ "$1" == --* ]]; do
            case "$1" in
                --output) log="$2"; shift 2 ;;
                --error) shift 2 ;;
                *) shift ;;
            esac
        done
        log="${log//%A/$SLURM_ARRAY_JOB_ID}"; log="${log//%a/$SLURM_ARRAY_TASK_ID}"; log="${log//%t/0}"
        exec "$@" >> "$log" 2>&1
    """,
    "sacct": """
        echo "JobID|State|NodeList"
        for file in "$STATES"/*; do echo "$(basename "$file")|$(cat "$file")|localhost"; done
    """,
    "scontrol": """
        if [ "$1" = requeue ]; then touch "$STATES/../requeue_$2"; else echo localhost; fi
    """,
    "scancel": "exit 0",
}


def fake_slurm(folder: Path) -> str:
    """Write the commands into a new folder, and return what to put before ``PATH``."""
    commands, states = folder / "bin", folder / "states"
    commands.mkdir(parents=True)
    states.mkdir()
    for name, body in _COMMANDS.items():
        path = commands / name
        path.write_text(f"#!/usr/bin/env bash\nSTATES='{states}'\n{body}\n", encoding="utf-8")
        path.chmod(0o755)
    return str(commands)
