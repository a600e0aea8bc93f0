"""Markers: what stands in `Annotated[T, ...]` to say where a parameter's value comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, TypeVar

from microasgi.exceptions import ConfigurationError
from microasgi.typed.constraints import Constraints

__all__ = [
    "Body",
    "Cookie",
    "Depends",
    "File",
    "Form",
    "FromState",
    "Header",
    "Marker",
    "Path",
    "Query",
    "Security",
    "State",
]


class Marker:
    """The place of a parameter, its name on the wire, what its value has to be, and what the documentation says of it.

    `ge gt le lt multiple_of` are for numbers, `min_length max_length` for texts (in characters) and lists, `pattern`
    (a regular expression, searched for) for texts.
    """

    place: ClassVar[str]

    def __init__(
        self,
        alias: str | None = None,
        *,
        ge: Any = None,
        gt: Any = None,
        le: Any = None,
        lt: Any = None,
        multiple_of: Any = None,
        min_length: int | None = None,
        max_length: int | None = None,
        pattern: str | None = None,
        title: str | None = None,
        description: str | None = None,
        examples: Sequence[Any] | Mapping[str, Any] = (),
        deprecated: bool = False,
        include_in_schema: bool = True,
    ) -> None:
        if alias is not None and not isinstance(alias, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            name = type(self).__name__
            if alias is ...:
                raise ConfigurationError(f"{name}(...): leave the dots out: what has no default after `=` is required")
            raise ConfigurationError(f"{name}({alias!r}): a default stands after `=`, as in `= {alias!r}`")
        self.alias = alias
        self.constraints = Constraints(ge, gt, le, lt, multiple_of, min_length, max_length, pattern)
        self.title = title
        self.description = description
        self.examples = examples
        self.deprecated = deprecated
        self.include_in_schema = include_in_schema

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'' if self.alias is None else repr(self.alias)})"


class Path(Marker):
    """A parameter of the route's path."""

    place = "path"


class Query(Marker):
    """A parameter of the query string; a list takes all that have the name."""

    place = "query"


class Header(Marker):
    """A request header; underscores of the parameter's name stand for hyphens unless `convert_underscores=False`."""

    place = "header"

    def __init__(self, alias: str | None = None, *, convert_underscores: bool = True, **rest: Any) -> None:
        super().__init__(alias, **rest)
        self.convert_underscores = convert_underscores


class Cookie(Marker):
    """A cookie."""

    place = "cookie"


class Form(Marker):
    """A field of a form, urlencoded or multipart; of a model, one field for each of its own."""

    place = "form"


class File(Marker):
    """An uploaded file of a multipart form, as `UploadFile` or `bytes`."""

    place = "file"


class Body(Marker):
    """The JSON body; with `embed=True`, or beside other body parameters, the member of this name in an object."""

    place = "body"

    def __init__(self, alias: str | None = None, *, embed: bool = False, **rest: Any) -> None:
        super().__init__(alias, **rest)
        self.embed = embed


class Depends:
    """What a callable returns, called with parameters of its own; a generator's clean-up follows its `yield`.

    Without `dependency` the parameter's type is called. It is called once for a request unless `use_cache=False`.
    The clean-up runs when the response has been sent or, with `scope="function"`, before that.
    """

    def __init__(
        self,
        dependency: Callable[..., Any] | None = None,
        *,
        use_cache: bool = True,
        scope: Literal["request", "function"] = "request",
    ) -> None:
        if scope not in {"request", "function"}:
            raise ConfigurationError(f'Depends(scope={scope!r}): write scope="request" or scope="function"')
        if dependency is not None and not callable(dependency):
            raise ConfigurationError(f"Depends({dependency!r}): a dependency is a callable")
        self.dependency = dependency
        self.use_cache = use_cache
        self.scope = scope

    def __repr__(self) -> str:
        return f"{type(self).__name__}({getattr(self.dependency, '__qualname__', self.dependency)})"


class Security(Depends):
    """A dependency that needs these scopes (OAuth 2.0); security schemes below it show them in the documentation."""

    def __init__(
        self, dependency: Callable[..., Any] | None = None, *, scopes: Sequence[str] = (), use_cache: bool = True
    ) -> None:
        super().__init__(dependency, use_cache=use_cache)
        if isinstance(scopes, str):
            raise ConfigurationError(f"scopes is a list, write scopes=[{scopes!r}]")
        self.scopes = tuple(scopes)


class FromState:
    """In `Annotated`: the value that the lifespan (or a middleware) put into the state under the parameter's name."""

    def __repr__(self) -> str:
        return "FromState()"


T = TypeVar("T")
State: TypeAlias = Annotated[T, FromState()]
"""`db: State[Database]` is `request.state.db`, as a Database to type checkers; without brackets, the whole state."""
