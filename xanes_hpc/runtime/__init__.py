"""How work runs: threads, locks, interruption, optional packages, plug-ins, whole outputs."""
