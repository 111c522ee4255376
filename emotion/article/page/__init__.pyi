from .findings import findings as findings
from .rendering import render_page as render_page
from .tables import classes_table as classes_table
from .tables import comparisons_table as comparisons_table
from .tables import interval_of as interval_of
from .tables import variants_table as variants_table
