"""Jinja2: the one module that imports it. Environments, what a template is found by, and how it is run.

The law of this file: nothing is imported before an environment is asked for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast
from weakref import WeakKeyDictionary

from microasgi.exceptions import ConfigurationError, MissingPackage

if TYPE_CHECKING:
    from jinja2 import Environment, Template
else:
    Environment = Template = Any

__all__ = [
    "Environment",
    "Template",
    "add_functions",
    "check_environment",
    "find_template",
    "hidden_input",
    "iterate",
    "iterate_async",
    "make_environment",
    "render",
    "render_async",
    "require_jinja2",
]

Values: TypeAlias = dict[str, Any]

_LEAST_CHUNK: Final = 16 * 1024  # characters of a stream that go out together
# What a template does outside of its blocks, and its blocks may use.
_SETTING: Final = {"Assign", "AssignBlock", "FromImport", "Import", "Macro"}


def require_jinja2() -> None:
    """Raise MissingPackage where there is no Jinja2."""
    try:
        import jinja2  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError:
        raise MissingPackage("jinja2", "templates", "to render templates") from None


def make_environment(
    directories: list[str],
    packages: Iterable[tuple[str, str]],
    *,
    unescaped: tuple[str, ...],
    strict: bool,
    enable_async: bool,
) -> Environment:
    """Return an environment over directories, then directories of packages; ConfigurationError for one that is missing.

    It escapes everything but templates whose names match one of the `unescaped` patterns.
    """
    import jinja2

    loaders: list[Any] = [jinja2.FileSystemLoader(directories)] if directories else []
    for package, directory in packages:
        try:
            loaders.append(jinja2.PackageLoader(package, directory))
        except (ImportError, ValueError) as error:
            raise ConfigurationError(f"no templates in the package {package!r}, at {directory!r}: {error}") from None

    def escapes(name: str | None) -> bool:
        return name is None or not any(fnmatchcase(name, pattern) for pattern in unescaped)

    return jinja2.Environment(
        loader=loaders[0] if len(loaders) == 1 else jinja2.ChoiceLoader(loaders),
        autoescape=escapes if unescaped else True,
        undefined=jinja2.StrictUndefined if strict else jinja2.Undefined,
        enable_async=enable_async,
    )


def check_environment(env: Any) -> None:
    """Raise ConfigurationError for what is no environment, or one that escapes nothing."""
    import jinja2

    if not isinstance(env, jinja2.Environment):
        raise ConfigurationError(f"env= takes a jinja2.Environment, not {env!r}")
    if not env.autoescape:
        raise ConfigurationError(
            "this environment escapes nothing, so that what users write becomes HTML: make it with "
            'jinja2.Environment(autoescape=True, ...); a function, as in autoescape=lambda name: name != "mail.txt", '
            "leaves templates out by name"
        )


def add_functions(env: Environment, functions: Iterable[Callable[..., Any]]) -> None:
    """Let templates call these functions of (context, ...) by their names, where the environment has no other."""
    import jinja2

    for function in functions:
        env.globals.setdefault(function.__name__, jinja2.pass_context(function))


def hidden_input(name: str, value: str) -> str:
    """Return a form's hidden field, as text that is not escaped again."""
    from markupsafe import Markup

    return Markup('<input type="hidden" name="{}" value="{}">').format(name, value)


def find_template(env: Environment, name: str) -> Template:
    """Return the template; jinja2.TemplateNotFound says where it was looked for, and what is near."""
    import jinja2

    try:
        return env.get_template(name)
    except jinja2.TemplateNotFound as error:
        _explain(env, error)
        raise


def _explain(env: Environment, error: Any) -> None:
    """Say in a TemplateNotFound what was searched and which names are near."""
    names = [str(name) for name in getattr(error, "templates", None) or [error.name]]
    try:
        known = env.list_templates()
    except TypeError:  # a loader that cannot tell
        known = []
    near = [other for name in names for other in _near(name, known)]
    loaders: list[Any] = getattr(env.loader, "loaders", [env.loader])
    places = [str(place) for one in loaders for place in getattr(one, "searchpath", ()) or [_root_of(one)]]
    error.message = f"there is no template {' or '.join(map(repr, names))} in {', '.join(places)}"
    if near:
        error.message += f"; did you mean {' or '.join(map(repr, near[:3]))}?"


def _root_of(loader: Any) -> Any:
    return getattr(loader, "_template_root", loader)  # of a package


def _near(name: str, known: Iterable[str]) -> list[str]:
    known = [*known]
    same = [other for other in known if other.rpartition("/")[2] == name.rpartition("/")[2]]
    return same or get_close_matches(name, known, n=3)


def render(template: Template, block: str | None, values: Values) -> str:
    """Return the whole template, or one of its blocks, as text."""
    env = template.environment
    with _Explained(env):
        if block is None:
            return template.render(values)
        fragment = _Fragment(template, values)
        try:
            for prelude in fragment.preludes():
                list(prelude.root_render_func(fragment.context))
            return env.concat(fragment.find(block)(fragment.context))
        except Exception:
            env.handle_exception()


async def render_async(template: Template, block: str | None, values: Values) -> str:
    """Return what `render` does, of an environment with `enable_async`."""
    env = template.environment
    with _Explained(env):
        if block is None:
            return await template.render_async(values)
        fragment = _Fragment(template, values)
        try:
            for prelude in fragment.preludes():
                [_ async for _ in _as_async(prelude.root_render_func(fragment.context))]
            return env.concat([piece async for piece in _as_async(fragment.find(block)(fragment.context))])
        except Exception:
            env.handle_exception()


def _as_async(pieces: Any) -> AsyncIterator[str]:
    return cast("AsyncIterator[str]", pieces)  # which they are in an asynchronous environment


def iterate(template: Template, values: Values) -> Iterator[str]:
    """Yield the template in chunks of some size."""
    gathered: list[str] = []
    size = 0
    with _Explained(template.environment):
        for piece in template.generate(values):
            gathered.append(piece)
            size += len(piece)
            if size >= _LEAST_CHUNK:
                yield "".join(gathered)
                gathered, size = [], 0
    yield "".join(gathered)


async def iterate_async(template: Template, values: Values) -> AsyncIterator[str]:
    """Yield what `iterate` does, of an environment with `enable_async`."""
    gathered: list[str] = []
    size = 0
    with _Explained(template.environment):
        async for piece in template.generate_async(values):
            gathered.append(piece)
            size += len(piece)
            if size >= _LEAST_CHUNK:
                yield "".join(gathered)
                gathered, size = [], 0
    yield "".join(gathered)


class _Explained:
    """A block out of which a template that was not found, by an `include` say, comes with its explanation."""

    def __init__(self, env: Environment) -> None:
        self._env = env

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        import jinja2

        if isinstance(error, jinja2.TemplateNotFound):
            _explain(self._env, error)


class _Fragment:
    """A template's blocks and those of what it extends, in one context, without what stands around them."""

    def __init__(self, template: Template, values: Mapping[str, Any]) -> None:
        self.context: Any = template.new_context(dict(values))
        self._template = template

    def preludes(self) -> Iterator[Template]:
        """Yield what has to run before a block, template by template, and take over the blocks of each parent."""
        template: Template | None = self._template
        while template is not None:
            prelude, parent = _prelude_of(template)
            yield prelude
            template = None if parent is None else template.environment.get_template(parent, template.name)
            if template is not None:
                for name, block in template.blocks.items():
                    self.context.blocks.setdefault(name, []).append(block)

    def find(self, name: str) -> Callable[[Any], Any]:
        """Return the innermost block of this name; LookupError names those there are."""
        blocks: dict[str, list[Any]] = self.context.blocks
        if name in blocks:
            return cast("Callable[[Any], Any]", blocks[name][0])
        near = get_close_matches(name, blocks, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        known = ", ".join(map(repr, sorted(blocks))) or "none"
        raise LookupError(f"the template {self._template.name!r} has no block {name!r}{hint} Its blocks: {known}")


_preludes: WeakKeyDictionary[Any, tuple[Any, str | None]] = WeakKeyDictionary()


def _prelude_of(template: Template) -> tuple[Template, str | None]:
    """Return a template of what this one sets, imports and defines outside of its blocks, and its parent's name."""
    known = _preludes.get(template)
    if known is not None:
        return known
    env: Any = template.environment
    source = env.loader.get_source(env, template.name)[0]
    tree = env.parse(source, template.name, template.filename)
    parents = [node.template for node in tree.body if type(node).__name__ == "Extends"]
    # A parent that is known only at run time is left out: its blocks cannot be found, the template's own can.
    parent = next((str(node.value) for node in parents if type(node).__name__ == "Const"), None)
    tree.body = _setting(tree.body)
    code = env.compile(tree, template.name, template.filename)
    made = _preludes[template] = (env.template_class.from_code(env, code, template.globals), parent)
    return made


def _setting(nodes: list[Any]) -> list[Any]:
    """Return what of these statements sets something, also within an `if`."""
    kept: list[Any] = []
    for node in nodes:
        kind = type(node).__name__
        if kind == "If":
            node.body, node.elif_, node.else_ = map(_setting, (node.body, node.elif_, node.else_))
        if kind in _SETTING or (kind == "If" and (node.body or node.elif_ or node.else_)):
            kept.append(node)
    return kept
