"""torchvision's detectors with heads for other classes, matched, trained and read out as Tropho's own."""

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.fcos import FCOSClassificationHead, FCOSHead
from torchvision.models.detection.retinanet import RetinaNetClassificationHead, RetinaNetHead
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork

from tropho.config.model_config import ModelConfig
from tropho.models.faster_rcnn import FasterRCNN, pool
from tropho.models.fcos import FCOS
from tropho.models.grid import CORNER
from tropho.models.heads import output_conv, prior_bias
from tropho.models.retinanet import RetinaNet
from tropho.models.torchvision_weights import WIDTH, torchvision_network


class TorchvisionPyramid(nn.Module):
    """torchvision's backbone with its pyramid; images (B, 3, H, W) -> maps (B, 256, h, w), finest first."""

    def __init__(self, backbone: BackboneWithFPN) -> None:
        super().__init__()
        self.body = backbone.body
        self.fpn = backbone.fpn

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images to the levels' maps."""
        return list(self.fpn(self.body(images)).values())


class TorchvisionFCOS(FCOS):
    """Outputs of torchvision's FCOS head, which looks at other points and has ReLU sides."""

    def __init__(self, model: ModelConfig, classes: int, head: FCOSHead) -> None:
        super().__init__(model, classes, CORNER)
        _replace_classes(head.classification_head, classes, 1)
        self.layers = head

    def outputs(self, features: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """See FCOS."""
        found = self.layers(features)
        return found["cls_logits"].float(), found["bbox_regression"].float(), found["bbox_ctrness"].float().squeeze(2)


class TorchvisionRetinaNet(RetinaNet):
    """Outputs of torchvision's RetinaNet head, and its anchors."""

    def __init__(self, model: ModelConfig, classes: int, head: RetinaNetHead, generator: AnchorGenerator) -> None:
        super().__init__(model, classes)
        _replace_classes(head.classification_head, classes, head.classification_head.num_anchors)
        self.layers = head
        self.generator = generator

    def anchors(self, features: list[Tensor]) -> Tensor:
        """See RetinaNet."""
        return _anchors(self.generator, features, self.model.levels)

    def outputs(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """See RetinaNet."""
        found = self.layers(features)
        return found["cls_logits"].float(), found["bbox_regression"].float()


class TorchvisionFasterRCNN(FasterRCNN):
    """torchvision's proposal network and box head; proposals are pooled from P2 to P5."""

    def __init__(self, model: ModelConfig, classes: int, rpn: RegionProposalNetwork, roi: RoIHeads) -> None:
        roi.box_roi_pool = pool(model.levels[:-1])
        roi.box_predictor = FastRCNNPredictor(roi.box_predictor.cls_score.in_features, classes + 1)
        roi.score_thresh, roi.nms_thresh, roi.detections_per_img = (
            model.score_threshold,
            model.nms_iou_threshold,
            model.max_detections,
        )
        super().__init__(model.levels, classes, rpn, roi)

    def anchors(self, features: list[Tensor]) -> Tensor:
        """See FasterRCNN."""
        return _anchors(self.rpn.anchor_generator, features, self.levels)


def torchvision_parts(model: ModelConfig, classes: int) -> tuple[nn.Module, nn.Module]:
    """Build the pyramid and the head of a detector of torchvision's.

    Raises:
        OutsideError: see torchvision_network.
    """
    network = torchvision_network(model)
    pyramid = TorchvisionPyramid(network.backbone)
    match model.name:
        case "torchvision_fcos":
            return pyramid, TorchvisionFCOS(model, classes, network.head)
        case "torchvision_retinanet":
            return pyramid, TorchvisionRetinaNet(model, classes, network.head, network.anchor_generator)
        case _:
            return pyramid, TorchvisionFasterRCNN(model, classes, network.rpn, network.roi_heads)


def _replace_classes(head: FCOSClassificationHead | RetinaNetClassificationHead, classes: int, anchors: int) -> None:
    head.cls_logits = output_conv(WIDTH, anchors * classes, prior_bias())
    head.num_classes = classes


def _anchors(generator: AnchorGenerator, features: list[Tensor], levels: list[int]) -> Tensor:
    """(N * A, 4) xyxy; strides are the levels', where torchvision would guess them from the shape of the maps."""
    device = features[0].device
    generator.set_cell_anchors(torch.float32, device)
    strides = [[torch.tensor(2**level, device=device)] * 2 for level in levels]
    return torch.cat(generator.grid_anchors([list(each.shape[2:]) for each in features], strides))
