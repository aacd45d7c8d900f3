"""How the project's charts look.

Colours are Okabe and Ito's, which people with any kind of colour vision can tell apart.
"""

import plotly.graph_objects as go

BLUE, ORANGE, GREEN, VERMILION = "#0072b2", "#e69f00", "#009e73", "#d55e00"
SKY, PURPLE, YELLOW, INK = "#56b4e9", "#cc79a7", "#f0e442", "#1f2933"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, INK, YELLOW)
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
GRID, AXIS = "#e4e8ee", "#9aa5b1"


def styled(figure: go.Figure) -> go.Figure:
    """The figure, in the project's dress: transparent, so that the page's background shows."""
    figure.update_layout(
        template="none",
        font={"family": FONT, "size": 13, "color": INK},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 64, "r": 12, "t": 40, "b": 12},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "bgcolor": "rgba(0,0,0,0)"},
        hoverlabel={"font": {"family": FONT}},
        bargap=0,
    )
    axis = {"automargin": True, "gridcolor": GRID, "zerolinecolor": AXIS, "linecolor": AXIS}
    figure.update_xaxes(**axis, showgrid=False, ticks="outside", tickcolor=AXIS, title_standoff=10)
    return figure.update_yaxes(**axis, title_standoff=10)
