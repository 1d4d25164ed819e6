"""Charts are drawn on the server: shapes and labels as data, which templates turn into SVG.

Text in a scaled SVG shrinks with it, so each chart is drawn at two widths and the style sheet shows
the one that fits.
"""

from __future__ import annotations

from automl.pages.charts.bars import Bar, Dots, Track, bar, dots, track
from automl.pages.charts.curves import curve_series, learning_curve
from automl.pages.charts.effects import SignedBar, signed_bar
from automl.pages.charts.histograms import Histogram, histogram
from automl.pages.charts.history import best_over_time, off_scale
from automl.pages.charts.parallel import ParallelChart, parallel_chart
from automl.pages.charts.plane import Chart, Series
from automl.pages.charts.responses import ResponseChart, response_chart
from automl.pages.charts.scatter import Cells, ScatterChart, pair_cells, pair_chart
from automl.pages.charts.shares import SharesChart, shared_time, shares_over_time, shares_table
from automl.pages.charts.sweeps import HeatMap, heat_map, response_curve
from automl.pages.charts.whiskers import FoldDots, Whisker, fold_dots, scale_of, whisker, whiskers

__all__ = [
    "Bar",
    "Cells",
    "Chart",
    "Dots",
    "FoldDots",
    "HeatMap",
    "Histogram",
    "ParallelChart",
    "ResponseChart",
    "ScatterChart",
    "Series",
    "SharesChart",
    "SignedBar",
    "Track",
    "Whisker",
    "bar",
    "best_over_time",
    "curve_series",
    "dots",
    "fold_dots",
    "heat_map",
    "histogram",
    "learning_curve",
    "off_scale",
    "pair_cells",
    "pair_chart",
    "parallel_chart",
    "response_chart",
    "response_curve",
    "scale_of",
    "shared_time",
    "shares_over_time",
    "shares_table",
    "signed_bar",
    "track",
    "whisker",
    "whiskers",
]
