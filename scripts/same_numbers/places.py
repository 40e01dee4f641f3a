"""What the collector imports from a checkout, wherever that commit keeps it: the only file that follows a move.

Results of the old commit stay valid when it changes: it is no part of the cache's key.
"""


def config_functions():
    """(load_config, config_hash, to_dict)."""
    from src.config import config_hash, load_config, to_dict

    return load_config, config_hash, to_dict


def tasks() -> dict:
    """{name: task with make_loader(cfg, rank, size, start_step)}."""
    try:
        from src.engine.tasks import TASKS
    except ModuleNotFoundError:
        from src.tasks import TASKS
    return TASKS


def model_builder():
    """build_model(cfg)."""
    try:
        from src.models.build import build_model
    except ImportError:
        from src.tasks import build_model
    return build_model
