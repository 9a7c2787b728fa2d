"""The parameters of a function: as a JSON schema, and checked when it is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import to_jsonable_python

from agent.conversation.events import Json
from agent.errors import DeclarationError, ToolError
from agent.thinking.port import ToolContext

_REFUSED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Parameters:
    """Of `function`; one whose type is `ToolContext` is filled in when it runs. `described`: what each of them is.

    Raises `DeclarationError` naming the parameter that no JSON value can stand for.
    """

    def __init__(self, function: Callable[..., object], described: Mapping[str, str]) -> None:
        name = getattr(function, "__name__", repr(function))
        hints = _hints(function, name)
        self.context = ""
        """The name of the parameter that takes the context, if one does."""
        fields: dict[str, Any] = {}
        for parameter in inspect.signature(function).parameters.values():
            where = f"{name}({parameter.name})"
            if parameter.kind in _REFUSED:
                raise DeclarationError(
                    f"{where}: a tool is called with named arguments; give each one a name of its own"
                )
            if parameter.name not in hints:
                raise DeclarationError(f"{where} needs a type, such as {parameter.name}: str")
            if hints[parameter.name] is ToolContext:
                self.context = parameter.name
                continue
            fields[parameter.name] = _field(where, parameter, hints[parameter.name], described.get(parameter.name))
        if unknown := sorted(described.keys() - fields.keys()):
            raise DeclarationError(f"the docstring of {name} describes {unknown[0]}, which is no parameter of it")
        # Under names of our own, so that no parameter's name can collide with one of pydantic's.
        self._fields = {f"p{at}": parameter for at, parameter in enumerate(fields)}
        settings = ConfigDict(extra="forbid", coerce_numbers_to_str=True)
        own: dict[str, Any] = {inner: fields[outer] for inner, outer in self._fields.items()}
        self._model: type[BaseModel] = create_model(name, __config__=settings, **own)
        self.schema = _schema(self._model)

    def values(self, arguments: Mapping[str, Json]) -> dict[str, Any]:
        """What the function is called with, by name. Raises `ToolError` (class input) that says what is wrong."""
        try:
            found = self._model.model_validate(dict(arguments))
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_context=False, include_input=False)
            raise ToolError("; ".join(_complaint(one["loc"], one["msg"]) for one in wrong) + ".", "input") from None
        return {outer: getattr(found, inner) for inner, outer in self._fields.items()}

    def completed(self, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """The arguments with every default filled in, as JSON values. Raises `ToolError` as `values`."""
        return {name: to_jsonable_python(value) for name, value in self.values(arguments).items()}


def _hints(function: Callable[..., object], name: str) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError, SyntaxError) as error:
        raise DeclarationError(f"the types of {name} cannot be read: {error}") from error


def _field(where: str, parameter: inspect.Parameter, hint: Any, description: str | None) -> Any:
    default = ... if parameter.default is inspect.Parameter.empty else parameter.default
    field = (hint, Field(default, alias=parameter.name, validate_default=True, **_description(hint, description)))
    try:
        alone = create_model("Alone", p0=field)
        _schema(alone)
        if default is not ...:
            alone()
    except (PydanticUserError, ValueError, TypeError) as error:
        reason = " ".join(str(error).splitlines()[:3])
        raise DeclarationError(f"{where}: {hint!r} cannot be an argument of a tool: {reason}") from error
    return field


def _description(hint: Any, description: str | None) -> dict[str, Any]:
    """What is said in the annotation stands before what the docstring says."""
    annotated = any(getattr(one, "description", None) for one in getattr(hint, "__metadata__", ()))
    return {"description": description} if description and not annotated else {}


class _Untitled(GenerateJsonSchema):
    """Without titles: they repeat the names, and every prompt carries the schema."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _schema(model: type[BaseModel]) -> dict[str, Json]:
    schema: dict[str, Json] = model.model_json_schema(schema_generator=_Untitled)
    schema.pop("title", None)
    schema.setdefault("properties", {})
    return schema


def _complaint(place: tuple[int | str, ...], message: str) -> str:
    name = ".".join(str(part) for part in place)
    if message == "Field required":
        return f"The {name} is missing"
    return f"The {name} is wrong: {message.removeprefix('Value error, ').replace('Input should be', 'it should be')}"
