"""How fast the platform is on this machine, each figure beside a reference measured in the same run."""
