"""The name that convert_weights.py had: convert weights of another project into a checkpoint for a config."""

from convert_weights import main

if __name__ == "__main__":
    main()
