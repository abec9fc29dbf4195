"""Shapes, gradients and batch independence of the embedders."""

import pytest
import torch

from fairseq_plugins.modules.convnet import NETWORKS, ConvEmbedder


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [20, 28])
def test_embeddings_have_the_promised_width(name: str, size: int) -> None:
    embedder = ConvEmbedder(NETWORKS[name], size)
    assert embedder(torch.rand(3, size, size)).shape == (3, embedder.width)


def test_the_papers_stack_is_as_published() -> None:
    convolutions = [
        layer for layer in ConvEmbedder(NETWORKS["paper"], 28).layers
        if isinstance(layer, torch.nn.Conv2d)
    ]  # fmt: skip
    assert [layer.out_channels for layer in convolutions] == [64, 64, 128, 128]
    assert {layer.kernel_size for layer in convolutions} == {(3, 3)}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_learns(name: str) -> None:
    embedder = ConvEmbedder(NETWORKS[name], 20)
    embedder(torch.rand(8, 20, 20)).pow(2).sum().backward()
    for label, parameter in embedder.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, label


@pytest.mark.parametrize("name", NETWORKS)
def test_in_use_drawings_do_not_see_each_other(name: str) -> None:
    torch.manual_seed(1)
    embedder = ConvEmbedder(NETWORKS[name], 20).eval()
    images = torch.rand(5, 20, 20)
    alone = torch.cat([embedder(image.unsqueeze(0)) for image in images])
    torch.testing.assert_close(embedder(images), alone, atol=1e-5, rtol=1e-4)


def test_drawings_that_are_too_small_are_an_error() -> None:
    with pytest.raises(ValueError, match="too small to be halved 4 times"):
        ConvEmbedder(NETWORKS["blocks"], 15)
