"""An attack in the manner of 2017: random noise, for TensorFlow 1 and Python 2 or 3. It must run as it is."""
from __future__ import absolute_import
from __future__ import division
from __future__ import print_function

import os

import numpy as np
from scipy.misc import imread
from scipy.misc import imsave
import tensorflow as tf

tf.flags.DEFINE_string('input_dir', '', 'Images to attack.')
tf.flags.DEFINE_string('output_dir', '', 'Where to put what was made of them.')
tf.flags.DEFINE_float('max_epsilon', 16.0, 'Largest change of a pixel.')
tf.flags.DEFINE_integer('image_width', 299, 'Width of an image.')
tf.flags.DEFINE_integer('image_height', 299, 'Height of an image.')
tf.flags.DEFINE_integer('batch_size', 2, 'Images at a time.')

FLAGS = tf.flags.FLAGS


def batches(input_dir, shape):
    pixels = np.zeros(shape)
    names = []
    for path in sorted(tf.gfile.Glob(os.path.join(input_dir, '*.png'))):
        with tf.gfile.Open(path) as f:
            pixels[len(names), :, :, :] = imread(f, mode='RGB').astype(np.float) / 255.0
        names.append(os.path.basename(path))
        if len(names) == shape[0]:
            yield names, pixels
            names = []
            pixels = np.zeros(shape)
    if names:
        yield names, pixels


def main(_):
    shape = [FLAGS.batch_size, FLAGS.image_height, FLAGS.image_width, 3]
    eps = FLAGS.max_epsilon / 255.0
    tf.logging.set_verbosity(tf.logging.INFO)
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, shape=shape)
        noise = eps * tf.sign(tf.random_normal(shape))
        noisy = tf.clip_by_value(x + noise, 0.0, 1.0)
        with tf.Session() as sess:
            for names, pixels in batches(FLAGS.input_dir, shape):
                made = sess.run(noisy, feed_dict={x: pixels})
                for i, name in enumerate(names):
                    with tf.gfile.Open(os.path.join(FLAGS.output_dir, name), 'w') as f:
                        imsave(f, (made[i] * 255.0).round().astype(np.uint8), format='png')
    tf.logging.info('done: %d pixels wide', FLAGS.image_width)


if __name__ == '__main__':
    tf.app.run()
