"""Fields that take what JSON says and nothing that merely looks like it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers


class StrictSerializer(serializers.Serializer[Any]):
    """A body in which a field that nobody reads is an error: it is a mistyped name, or a wish not met."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            raise serializers.ValidationError(
                {"non_field_errors": [f"The body has to be an object, not {_kind(data)}."]}
            )
        known = [name for name, field in self.fields.items() if not field.read_only]
        unknown = [name for name in data if name not in known]
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError({**_as_dict(error), **_unknown(unknown, known)}) from error
        if unknown:
            raise serializers.ValidationError(_unknown(unknown, known))
        return values


def _as_dict(error: serializers.ValidationError) -> dict[str, Any]:
    assert isinstance(error.detail, dict)
    return error.detail


def _unknown(unknown: list[str], known: list[str]) -> dict[str, list[str]]:
    return {name: [f"There is no such field. Known are: {', '.join(known)}."] for name in unknown}


def _kind(value: Any) -> str:
    names = {list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


class NoFields(StrictSerializer):
    """A POST that says all by its address."""


class Text(serializers.CharField):
    """Text; a number is not taken for one."""

    default_error_messages = {"no_text": "This has to be text, not {kind}."}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("no_text", kind=_kind(data) if not isinstance(data, Mapping) else "an object")
        return super().to_internal_value(data)


class Number(serializers.FloatField):
    """A finite number; neither text nor true is taken for one."""

    default_error_messages = {"no_number": "This has to be a number."}

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("no_number")
        try:
            value = float(data)
        except OverflowError:
            self.fail("no_number")
        if not math.isfinite(value):
            self.fail("no_number")
        return value


class NumberInText(Number):
    """A finite number as addresses and forms carry it: as text."""

    default_error_messages = {"no_number": "{input!r} is not a number."}

    def to_internal_value(self, data: Any) -> float:
        try:
            value = float(data)
        except (TypeError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            self.fail("no_number", input=str(data)[:40])
        return value


class Whole(serializers.IntegerField):
    """A whole number; 3.0 is one, "3" and 3.5 are not."""

    default_error_messages = {"no_whole": "This has to be a whole number."}

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int | float) or data != data // 1:
            self.fail("no_whole")
        return int(data)


class Choice(serializers.ChoiceField):
    """One of several words; the error lists them."""

    default_error_messages = {"unknown": "{input!r} is not known here. Choose one of: {choices}."}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str) or data not in self.choices:
            self.fail("unknown", input=data, choices=", ".join(str(key) for key in self.choices))
        return data


@extend_schema_field({"type": "object", "additionalProperties": {}})
class Object(serializers.JSONField):
    """An object with any members."""

    default_error_messages = {"no_object": "This has to be an object."}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            self.fail("no_object")
        return data
