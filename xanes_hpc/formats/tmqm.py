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


def renamed(properties: dict[str, float | str]) -> tuple[str, dict[str, float | str]]:
    """Return a structure's name and properties, with tmQM's items under our names if there is a CSD code.

    Extended XYZ, trajectories and databases of tmQM have these items as properties.

    Examples
    --------
    >>> renamed({"CSD_code": "WELROW", "q": 0.0, "energy": -1.0})
    ('WELROW', {'charge': 0.0, 'energy': -1.0})
    >>> renamed({"q": 0.5})
    ('', {'q': 0.5})
    """
    code = properties.get("CSD_code")
    if not isinstance(code, str) or not code:
        return "", properties
    return code, {NAMES.get(key, key): value for key, value in properties.items() if key != "CSD_code"}
