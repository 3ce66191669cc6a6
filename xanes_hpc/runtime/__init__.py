"""Run work: threads, locks, interruption, optional packages, plug-ins and atomic outputs."""
