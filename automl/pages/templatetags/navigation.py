"""Which links a page shows."""

from __future__ import annotations

from uuid import UUID

from django import template
from django.template import Context
from django.urls import NoReverseMatch, reverse

from automl.pages.sections import Section, sections_of

register = template.Library()


@register.simple_tag(takes_context=True)
def experiment_sections(context: Context, id: UUID) -> list[Section]:
    """The sub-navigation of an experiment, with the page that shows it marked."""
    request = context.get("request")
    return sections_of(id, request.path if request else "")


@register.simple_tag
def address_if_any(name: str) -> str:
    """The address of a page that is of nothing in particular, or nothing where there is no such page."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""
