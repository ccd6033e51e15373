"""Entry of the command line: `appliance` and `python -m appliance`."""

from appliance.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
