"""A one-step attack in the manner of 2017: slim, a checkpoint, and a monitored session. It must run as it is."""
from __future__ import absolute_import
from __future__ import division
from __future__ import print_function

import os

import numpy as np
from PIL import Image
import tensorflow as tf

import net

slim = tf.contrib.slim

tf.flags.DEFINE_string('master', '', 'TensorFlow master.')
tf.flags.DEFINE_string('checkpoint_path', '', 'Weights.')
tf.flags.DEFINE_string('input_dir', '', 'Images.')
tf.flags.DEFINE_string('output_dir', '', 'What is made of them.')
tf.flags.DEFINE_string('log_dir', '', 'Where summaries would go.')
tf.flags.DEFINE_float('max_epsilon', 16.0, 'Largest change of a pixel.')
tf.flags.DEFINE_integer('num_classes', 11, 'Classes, one of them for the background.')

FLAGS = tf.flags.FLAGS

# Read before app.run, as many did.
WIDTH = 32 if FLAGS.num_classes == 11 else 299


def main(_):
    tf.logging.set_verbosity(tf.logging.INFO)
    paths = sorted(tf.gfile.Glob(os.path.join(FLAGS.input_dir, '*.png')))
    eps = 2.0 * FLAGS.max_epsilon / 255.0
    with tf.Graph().as_default():
        x_input = tf.placeholder(tf.float32, shape=[None, WIDTH, WIDTH, 3])
        logits, end_points = net.logits(x_input, FLAGS.num_classes)
        label = tf.argmax(logits, axis=1)
        one_hot = tf.one_hot(label, FLAGS.num_classes)
        loss = tf.losses.softmax_cross_entropy(one_hot, logits, label_smoothing=0.1, weights=1.0)
        turned = tf.contrib.image.rotate(x_input, 0.1)
        turned = tf.Print(turned, [tf.shape(turned)], message='turned ')
        loss += 1e-6 * tf.reduce_sum(turned * turned)
        x_adv = x_input + eps * tf.sign(tf.gradients(loss, x_input)[0])
        x_adv = tf.stop_gradient(tf.clip_by_value(x_adv, -1.0, 1.0))
        saver = tf.train.Saver(slim.get_model_variables())
        session_creator = tf.train.ChiefSessionCreator(
            scaffold=tf.train.Scaffold(saver=saver),
            checkpoint_filename_with_path=FLAGS.checkpoint_path,
            master=FLAGS.master)
        with tf.train.MonitoredSession(session_creator=session_creator) as sess:
            images = np.stack([np.array(Image.open(tf.gfile.Open(path, 'rb')).convert('RGB')) for path in paths])
            made = sess.run(x_adv, feed_dict={x_input: images.astype(np.float32) / 255.0 * 2.0 - 1.0})
            for path, image in zip(paths, made):
                with tf.gfile.Open(os.path.join(FLAGS.output_dir, os.path.basename(path)), 'wb') as f:
                    Image.fromarray(np.round((image + 1.0) * 0.5 * 255.0).astype(np.uint8)).save(f, format='PNG')


if __name__ == '__main__':
    tf.app.run()
