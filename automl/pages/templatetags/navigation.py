"""Which links a page shows."""

from __future__ import annotations

from uuid import UUID

from django import template
from django.template import Context

from automl.pages.sections import Section, address_of, sections_of

register = template.Library()


@register.simple_tag(takes_context=True)
def experiment_sections(context: Context, id: UUID) -> list[Section]:
    """The sub-navigation of an experiment, with the page that shows it marked."""
    request = context.get("request")
    return sections_of(id, request.path if request else "")


@register.filter
def page_address(id: UUID, name: str) -> str:
    """The address of a page of this object, or nothing where there is no such page."""
    return address_of(f"pages:{name}", id) or ""
