"""A defense in the manner of 2017 with the attack's net, images read in the graph. It must run as it is."""
import os
import sys

import tensorflow as tf

import net

input_dir, output_file = sys.argv[1:3]
names = sorted(name for name in os.listdir(input_dir) if name.endswith('.png'))
queue = tf.train.string_input_producer([os.path.join(input_dir, name) for name in names], shuffle=False, num_epochs=1)
key, value = tf.WholeFileReader().read(queue)
image = tf.image.decode_png(value, channels=3)
image.set_shape([32, 32, 3])
image = tf.image.resize_images(tf.image.convert_image_dtype(image, tf.float32), [16, 16])
image = tf.image.resize_bilinear(tf.expand_dims(image, 0), [32, 32], align_corners=False)
keys, images = tf.train.batch([key, image[0] * 2.0 - 1.0], batch_size=2, allow_smaller_final_batch=True)
logits, _ = net.logits(images, 11)
labels = tf.argmax(logits, 1)

init_fn = tf.contrib.slim.assign_from_checkpoint_fn('./model.ckpt', tf.contrib.slim.get_model_variables())
config = tf.ConfigProto(allow_soft_placement=True)
config.gpu_options.allow_growth = True
with tf.Session(config=config) as sess, tf.gfile.Open(output_file, 'w') as out:
    sess.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
    init_fn(sess)
    coord = tf.train.Coordinator()
    threads = tf.train.start_queue_runners(sess=sess, coord=coord)
    try:
        while not coord.should_stop():
            for path, label in zip(*sess.run([keys, labels])):
                out.write('{0},{1}\n'.format(os.path.basename(path.decode('ascii')), label))
    except tf.errors.OutOfRangeError:
        pass
    finally:
        coord.request_stop()
    coord.join(threads)
