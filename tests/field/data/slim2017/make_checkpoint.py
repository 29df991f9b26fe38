"""Writes model.ckpt beside it, as training would have."""
import tensorflow as tf

import net

slim = tf.contrib.slim

tf.set_random_seed(2017)
x = tf.placeholder(tf.float32, [None, 32, 32, 3])
net.logits(x, 11)
step = tf.contrib.framework.get_or_create_global_step()
saver = tf.train.Saver(slim.get_model_variables())
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    print(saver.save(sess, './model.ckpt', write_meta_graph=False))
print(len(tf.contrib.framework.list_variables('./model.ckpt')), 'variables')
