"""Python source of values and of unfitted estimators, laid out for readers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

WIDTH = 110
INDENT = "    "


@dataclass(slots=True)
class Call:
    """A call, or without a name a list or a tuple: its arguments, each with its keyword and a comment."""

    name: str
    arguments: list[tuple[str, Any, str]] = field(default_factory=list)
    brackets: str = "()"


@dataclass(slots=True)
class Writer:
    """Writes estimators as the calls that make them.

    Attributes
    ----------
    names : mapping
        Values that have a name in the script, as tuples for lists of positions.
    imports : dict of str to set of str
        What the source needs, by module; filled while it is written.
    """

    names: Mapping[Any, str]
    imports: dict[str, set[str]] = field(default_factory=dict)

    def estimator(
        self,
        found: Any,
        expressions: Mapping[str, str],
        comments: Mapping[str, str],
        skip: Iterable[str] = (),
    ) -> Call:
        """Tell how to make an estimator: what differs from its defaults, dials first.

        Parameters
        ----------
        expressions : mapping
            Source that stands for the value of a parameter; these come first, in this order.
        comments : mapping
        skip : iterable of str
            Parameters that are left out.
        """
        changed, there = _changed(found), found.get_params(deep=False)
        order = [*(name for name in expressions if name in there), *changed]
        return Call(
            self._name(found),
            [
                (name, expressions.get(name) or self.value(changed[name]), comments.get(name, ""))
                for name in dict.fromkeys(order)
                if name not in set(skip)
            ],
        )

    def value(self, found: Any) -> Any:
        """Tell how to make any value: source, or a call that is still to be laid out."""
        if hasattr(found, "steps"):
            self._need("sklearn.pipeline", "make_pipeline")
            return Call("make_pipeline", [("", self.value(step), "") for _, step in found.steps])
        if hasattr(found, "get_params"):
            return self.estimator(found, {}, {})
        if hasattr(found, "get_n_splits"):
            settings = {"": found.n_splits, "shuffle": found.shuffle, "random_state": found.random_state}
            return Call(self._name(found), [(name, repr(value), "") for name, value in settings.items()])
        if isinstance(found, list) and any(isinstance(each, tuple) for each in found):
            return Call("", [("", self.value(each), "") for each in found], "[]")
        if isinstance(found, tuple) and any(isinstance(each, list) for each in found):
            return Call("", [("", self.value(each), "") for each in found])
        if isinstance(found, list) and tuple(found) in self.names:
            return self.names[tuple(found)]
        return literal(found)

    def _name(self, found: Any) -> str:
        kind = type(found)
        public: list[str] = []
        for part in kind.__module__.split("."):
            if part.startswith("_") or (public and public[0] != "sklearn"):
                break
            public.append(part)
        self._need(".".join(public), kind.__name__)
        return str(kind.__name__)

    def _need(self, module: str, name: str) -> None:
        self.imports.setdefault(module, set()).add(name)


def _changed(found: Any) -> dict[str, Any]:
    usual = type(found)(**_required(found)).get_params(deep=False)
    return {
        name: value
        for name, value in found.get_params(deep=False).items()
        if name not in usual or name in _required(found) or repr(usual[name]) != repr(value)
    }


def _required(found: Any) -> dict[str, Any]:
    """What a constructor has no default for."""
    return {"transformers": found.transformers} if hasattr(found, "transformers") else {}


def literal(value: Any) -> str:
    """A plain value as source; text in double quotes."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        inside = ", ".join(literal(each) for each in value)
        if isinstance(value, list):
            return f"[{inside}]"
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return repr(value.item() if hasattr(value, "item") else value)


def layout(node: Any, indent: int, width: int = WIDTH, *, before: int = 0) -> str:
    """Lay a call out: on one line where it fits, else as many arguments on a line as do.

    Parameters
    ----------
    node : Call or str
    indent : int
        Levels, of the line that it begins on.
    before : int
        Characters that stand on that line before it, and after it.
    """
    if isinstance(node, str):
        return node
    opening, closing = node.brackets
    if not any(comment for _, _, comment in node.arguments):
        parts = [_keyed(key, layout(value, 0, 1 << 20)) for key, value, _ in node.arguments]
        line = f"{node.name}{opening}{', '.join(parts)}{closing}"
        if "#" not in line and len(line) + indent * len(INDENT) + before <= width:
            return line
    lines = [f"{node.name}{opening}"]
    pad = INDENT * (indent + 1)
    is_open = False
    for key, value, comment in node.arguments:
        text = _keyed(key, layout(value, indent + 1, width, before=len(key) + 2))
        alone = bool(comment) or "\n" in text
        if is_open and not alone and len(lines[-1]) + len(text) + 2 <= width:
            lines[-1] += f" {text},"
        else:
            lines.append(f"{pad}{text},{f'  # {comment}' if comment else ''}")
        is_open = not alone
    return "\n".join([*lines, f"{INDENT * indent}{closing}"])


def _keyed(key: str, text: str) -> str:
    return f"{key}={text}" if key else text


def packed(parts: Sequence[str], indent: str = INDENT, width: int = WIDTH) -> list[str]:
    """Lines with as many parts on each as fit, every part with a comma behind it."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) + 2 <= width:
            lines[-1] += f" {part},"
        else:
            lines.append(f"{indent}{part},")
    return lines


def assignment(name: str, values: Sequence[str]) -> list[str]:
    """A list of source texts under a name: on one line, or as many of them on a line as fit."""
    line = f"{name} = [{', '.join(values)}]"
    if len(line) <= WIDTH:
        return [line]
    return [f"{name} = [", *packed(values), "]"]


def import_lines(modules: Mapping[str, Iterable[str]], aliases: Iterable[str]) -> list[str]:
    """Third-party imports as isort orders them: `import x as y` first, then `from x import y`."""
    plain = sorted(aliases)
    lines = list(plain)
    for module in sorted(modules, key=str.lower):
        names = sorted(modules[module], key=lambda name: (not name.isupper(), not name[0].isupper(), name))
        line = f"from {module} import {', '.join(names)}"
        if len(line) > WIDTH:
            lines += [f"from {module} import (", *(f"{INDENT}{name}," for name in names), ")"]
        else:
            lines.append(line)
    return lines
