"""What ``import xanes_hpc`` offers: paths or ``ase.Atoms`` in, objects out, files only where they are asked for."""
