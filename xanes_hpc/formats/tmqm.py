"""tmQM's comment line.

    CSD_code = WELROW | q = 0 | S = 0 | Stoichiometry = C40H36LaN2P3Se6 | MND = 8 | 2020-2024 CSD

tmQM is Balcells & Skjelstad, doi:10.1021/acs.jcim.0c01041. Items come in any number and order; one without
``=`` is passed over.
"""

NAMES = {"q": "charge", "S": "spin"}
"""Our names of tmQM's properties; S is the total spin."""


def parse_comment(comment: str) -> tuple[str, dict[str, float | str]] | None:
    """The complex's CSD code and properties, or None where the line is not tmQM's."""
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
