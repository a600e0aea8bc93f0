"""Files: uploaded files of a form as parameters, as `UploadFile` or, read whole, as `bytes`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast, get_args, get_origin

from microasgi.forms import FormData, UploadFile
from microasgi.typed.constraints import checker
from microasgi.typed.faults import Faulty
from microasgi.typed.parameters import Parameter, Read, absent

__all__ = ["ReadForm", "file_reader", "is_file_type", "wants_bytes"]

_CONTAINERS: Final = (list, tuple, set, frozenset)


class ReadForm:
    """A form with the contents of those of its files that handlers want as bytes."""

    __slots__ = ("_contents", "_form")

    def __init__(self, form: FormData) -> None:
        self._form = form
        self._contents: dict[UploadFile, bytes] = {}

    def get(self, name: str) -> Any:
        """Return the last value of this name, or None."""
        return self._form.get(name)

    def getlist(self, name: str) -> list[Any]:
        """Return all values of this name."""
        return self._form.getlist(name)

    @property
    def names(self) -> list[str]:
        """The names of its fields and files."""
        return list(self._form)

    async def load(self, name: str) -> None:
        """Read the files of this name."""
        for value in self._form.getlist(name):
            if isinstance(value, UploadFile):
                await value.seek(0)
                self._contents[value] = await value.read()

    def content(self, file: UploadFile) -> bytes:
        """Return what `load` has read."""
        return self._contents[file]


def is_file_type(annotation: Any) -> bool:
    """Tell whether this is UploadFile, an optional one, or a list of them."""
    return annotation is UploadFile or (
        get_origin(annotation) is not None and any(is_file_type(argument) for argument in get_args(annotation))
    )


def wants_bytes(annotation: Any) -> bool:
    """Tell whether this is bytes, or a list of them."""
    return annotation is bytes or any(wants_bytes(argument) for argument in get_args(annotation))


def file_reader(parameter: Parameter, where: str) -> Read:
    """Return the function that gets the parameter's files from a ReadForm.

    The lengths of its constraints count the bytes of one file, and the files of a list.
    """
    alias, missing = parameter.alias, absent(parameter)
    whole = wants_bytes(parameter.annotation)
    gather: Callable[[list[Any]], Any] = _container(parameter.annotation)
    several = _has_list(parameter.annotation)
    check = checker("length", parameter.constraints, where) if parameter.constraints else None

    def take(form: ReadForm, value: Any) -> Any:
        if not isinstance(value, UploadFile):
            raise Faulty("has to be a file")
        return form.content(value) if whole else value

    def files(form: ReadForm) -> list[Any]:
        # A browser sends a nameless, empty part for an input that nobody filled.
        return [value for value in form.getlist(alias) if not _is_nothing(value)]

    def read_one(form: ReadForm) -> Any:
        found = files(form)
        if not found:
            return missing()
        file = take(form, found[-1])
        if check is not None:
            check(_Sized(file.size or 0) if isinstance(file, UploadFile) else file)
        return file

    def read_all(form: ReadForm) -> Any:
        found = files(form)
        if not found:
            return missing()
        taken = gather([take(form, value) for value in found])
        if check is not None:
            check(taken)
        return taken

    return read_all if several else read_one


class _Sized:
    """What has a length, and nothing else that counts."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size


def _is_nothing(value: Any) -> bool:
    return isinstance(value, UploadFile) and not value.filename and not value.size


def _container(annotation: Any) -> Any:
    kind: Any = get_origin(annotation)
    if isinstance(kind, type) and issubclass(kind, _CONTAINERS):
        return cast(Any, kind)
    return next((found for one in get_args(annotation) if (found := _container(one)) is not list), list)


def _has_list(annotation: Any) -> bool:
    kind = get_origin(annotation)
    return (isinstance(kind, type) and issubclass(kind, _CONTAINERS)) or any(map(_has_list, get_args(annotation)))
