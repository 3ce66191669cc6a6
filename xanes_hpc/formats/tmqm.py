"""tmQM's comment line.

    CSD_code = WELROW | q = 0 | S = 0 | Stoichiometry = C40H36LaN2P3Se6 | MND = 8 | 2020-2024 CSD

tmQM is described by Balcells & Skjelstad, doi:10.1021/acs.jcim.0c01041. Items may come in any number and order; those
without ``=`` are ignored.
"""

NAMES = {"q": "charge", "S": "spin"}
"""Our names for tmQM's properties; S is the total spin."""


def parse_comment(comment: str) -> tuple[str, dict[str, float | str]] | None:
    """Return the CSD code and the properties in a comment line, or None if the line is not tmQM's."""
    pairs = (item.partition("=") for item in comment.split("|") if "=" in item)
    items = {key.strip(): value.strip() for key, _, value in pairs}
    code = items.pop("CSD_code", "")
    if not code:
        return None
    properties: dict[str, float | str] = {}
    for key, value in items.items():
        try:
            properties[NAMES.get(key, key)] = float(value)
        except ValueError:
            properties[NAMES.get(key, key)] = value
    return code, properties
