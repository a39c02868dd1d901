import pytest

from hf_checkpoints import ARCHITECTURES, OTHERS


@pytest.fixture
def named(checkpoints):
    """named("fcos") or named("rt_detr") -> settings of a detector, a small one of transformers by its folder."""

    def choose(name: str) -> dict[str, str]:
        if name in ARCHITECTURES or name in OTHERS:
            return {"model.name": "hf_detr", "model.checkpoint": str(checkpoints(name))}
        return {"model.name": name}

    return choose
