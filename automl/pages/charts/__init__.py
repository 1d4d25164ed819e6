"""Charts are drawn on the server: shapes and labels as data, which templates turn into SVG.

Text in a scaled SVG shrinks with it, so each chart is drawn at two widths and the style sheet shows
the one that fits.
"""

from __future__ import annotations

from automl.pages.charts.curves import curve_series, learning_curve
from automl.pages.charts.histograms import Histogram, histogram
from automl.pages.charts.history import best_over_time, off_scale
from automl.pages.charts.plane import Chart, Series
from automl.pages.charts.responses import HeatMap, heat_map, response_curve
from automl.pages.charts.whiskers import Whisker, whiskers

__all__ = [
    "Chart",
    "HeatMap",
    "Histogram",
    "Series",
    "Whisker",
    "best_over_time",
    "curve_series",
    "heat_map",
    "histogram",
    "learning_curve",
    "off_scale",
    "response_curve",
    "whiskers",
]
