"""A period of a tenant, drawn: the sections that `bourse explain` prints, as HTML."""

from __future__ import annotations

from collections.abc import Iterator

from dash import html
from dash.development.base_component import Component

from processors.explain import Explained
from processors.explain.parts import Facts, Grid, Line, Part, Section
from processors.explain.sections import proof, sections, subtitle, title


def story(told: Explained) -> list[Component]:
    """Everything but what would have changed it."""
    verdict = "wrong" if not told.auction.proved else "doubtful" if told.auction.other_rows_differing else "proved"
    head = html.Section(
        [
            html.H2([title(told.auction), html.Small(subtitle(told.auction, told.around))]),
            html.Div(_parts(proof(told.auction)), className=f"proof {verdict}"),
        ],
        className="panel wide",
    )
    return [head, *(_drawn(step) for step in sections(told.auction, told.around, None))]


def changes(told: Explained) -> list[Component]:
    """What would have changed it; nothing for who took no part."""
    steps = sections(told.auction, told.around, told.what_if)
    return [_drawn(step, "wide") for step in steps[len(sections(told.auction, told.around, None)) :]]


def _drawn(section: Section, width: str = "half") -> Component:
    return html.Section([html.H2(section.title), *_parts(section.parts)], className=f"panel {width} step")


def _parts(parts: tuple[Part, ...] | list[Part]) -> list[Component]:
    return [each for part in parts for each in _part(part)]


def _part(part: Part) -> Iterator[Component]:
    match part:
        case Facts():
            rows = [
                html.Tr([html.Th(name), html.Td(value, className="number"), html.Td(remark)]) for name, value, remark in part.rows
            ]
            yield html.Table(html.Tbody(rows), className="facts")
        case Line():
            yield html.P(part.text, className=part.tone)
        case Grid():
            kinds = ["number" if place in part.numbers else "text" for place in range(len(part.heading))]
            head = html.Tr([html.Th(name, className=kind) for name, kind in zip(part.heading, kinds, strict=True)])
            body = [html.Tr([html.Td(cell, className=kind) for cell, kind in zip(row, kinds, strict=True)]) for row in part.rows]
            yield html.Table([html.Thead(head), html.Tbody(body)], className="rows")
