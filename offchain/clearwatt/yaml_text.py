"""YAML that people write, read as strictly as the project's JSON."""

import re

import yaml

from clearwatt.documents import FileError, Json, shown

YAML_SUFFIXES = (".yaml", ".yml")
MAX_DEPTH = 50


class _Loader(yaml.CSafeLoader):
    """YAML with each key once, and with 1e-3 a number, as YAML 1.2 and JSON have it."""


def _keys_once(loader: _Loader, node: yaml.MappingNode) -> dict[str, Json]:
    loader.flatten_mapping(node)
    value: dict[str, Json] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise FileError(f"line {key_node.start_mark.line + 1}: the key {shown(key)} is not a text")
        if key in value:
            raise FileError(
                f"line {key_node.start_mark.line + 1}: the key {shown(key)} appears twice in one object"
            )
        value[key] = loader.construct_object(value_node, deep=True)
    return value


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _keys_once)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def load_yaml(text: str) -> Json:
    """The YAML value in the text. Raises FileError with what is wrong, and where."""
    try:
        _refuse_depth(text)
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise FileError(f"it is not YAML: {error.problem}{where}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise FileError(f"it is not YAML: {str(error).splitlines()[0]}") from None


def _refuse_depth(text: str) -> None:
    """Before the loader comes to it: libyaml's recursion ends the process rather than in an error."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise FileError("it is nested too deeply")
