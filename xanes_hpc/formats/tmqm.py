"""tmQM's comment line.

    CSD_code = WELROW | q = 0 | S = 0 | Stoichiometry = C40H36LaN2P3Se6 | MND = 8 | 2020-2024 CSD

tmQM is described by Balcells & Skjelstad, doi:10.1021/acs.jcim.0c01041. Items may come in any number and order; those
without ``=`` are ignored.
"""

NAMES = {"q": "charge", "S": "spin"}
"""Our names for tmQM's properties; S is the total spin."""


CODE = "csd_code"


def parse_comment(comment: str) -> tuple[str, dict[str, float | str]] | None:
    """Return the CSD code and the properties in a comment line, or None if the line is not tmQM's."""
    pairs = (item.partition("=") for item in comment.split("|") if "=" in item)
    items = {key.strip(): value.strip() for key, _, value in pairs}
    code = next((items.pop(key) for key in list(items) if key.lower() == CODE), "")
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
    """Return a structure's name, from its property ``name`` or ``CSD_code``, and its other properties.

    tmQM's items get our names if there is a CSD code. Extended XYZ, trajectories and databases of tmQM have these items
    as properties.

    Examples
    --------
    >>> renamed({"CSD_code": "WELROW", "q": 0.0, "energy": -1.0})
    ('WELROW', {'charge': 0.0, 'energy': -1.0})
    >>> renamed({"name": "hydrate", "q": 0.5})
    ('hydrate', {'q': 0.5})
    """
    kept = dict(properties)
    name = kept.pop("name", "")
    code = next((kept.pop(key) for key in properties if key.lower() == CODE), "")
    if isinstance(code, str) and code:
        kept = {NAMES.get(key, key): value for key, value in kept.items()}
    return next((one if isinstance(one, str) else f"{one:.17g}" for one in (name, code) if one != ""), ""), kept
