"""Text attributes of fixed width: HDF5 keeps other texts in a heap, and may read for ever if that is damaged."""

import h5py


def read_text(node: h5py.HLObject, name: str) -> str:
    """Return a text attribute; empty if it is absent."""
    value = node.attrs.get(name, "")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def write_text(node: h5py.HLObject, name: str, text: str) -> None:
    """Write a text attribute."""
    data = text.encode("utf-8", "surrogateescape")
    node.attrs.create(name, data, dtype=h5py.string_dtype("utf-8", max(1, len(data))))


def fix_texts(file: h5py.File) -> None:
    """Rewrite all text attributes of a file with fixed width."""

    def fix(_: str, node: h5py.HLObject) -> None:
        for name, value in list(node.attrs.items()):
            if isinstance(value, str):
                write_text(node, name, value)

    fix("/", file)
    file.visititems(fix)
