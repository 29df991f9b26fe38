"""The net of the attack and of the defense: a residual net of slim's, small enough to make its checkpoint here."""
import tensorflow as tf
from tensorflow.contrib.slim.nets import resnet_v2

slim = tf.contrib.slim


def logits(images, num_classes, is_training=False):
    blocks = [
        resnet_v2.resnet_v2_block('block1', base_depth=4, num_units=1, stride=2),
        resnet_v2.resnet_v2_block('block2', base_depth=8, num_units=1, stride=1),
    ]
    with slim.arg_scope(resnet_v2.resnet_arg_scope()):
        net, end_points = resnet_v2.resnet_v2(images, blocks, num_classes, is_training=is_training,
                                              global_pool=True, include_root_block=False, scope='small')
    return tf.contrib.layers.flatten(net), end_points
