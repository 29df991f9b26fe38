"""The images for 2017's TensorFlow entries: programs of our own, written as authors wrote then, run in them unchanged."""

from __future__ import annotations

import json
import shutil
import subprocess
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.compat

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(__file__).parent / "data"
TODAY = "localhost/harness-compat-tf:1"
THEN = "localhost/harness-compat-tf1:1"
OLDER = "localhost/harness-compat-tf1-1:1"
IMAGES = [TODAY, THEN, OLDER]

# name -> program that fails where TensorFlow 2 is as it comes; every one also runs on TensorFlow 1.
PROGRAMS = {
    "names of version 1, graphs": """
        import tensorflow as tf
        x = tf.placeholder(tf.float32, [None, 2]); w = tf.get_variable("w", [2, 1], initializer=tf.ones_initializer())
        y = tf.reduce_sum(tf.matmul(x, w), axis=1, keep_dims=True)
        with tf.Session() as sess:
            sess.run(tf.global_variables_initializer())
            assert sess.run(y, feed_dict={x: [[1, 2]]}).tolist() == [[3.0]]
        assert x.get_shape()[1].value == 2 and tf.Dimension(3).value == 3
    """,
    "flags: unknown ones ignored, read before app.run, absl's names free": """
        import sys; import tensorflow as tf
        sys.argv = ["x.py", "--epsilon=16.0", "--unknown=1", "--log_dir=there"]
        flags = tf.app.flags
        flags.DEFINE_string("log_dir", "here", "x"); flags.DEFINE_float("epsilon", 4.0, "x")
        flags.DEFINE_boolean("verbosity", True, "x")
        assert (flags.FLAGS.epsilon, flags.FLAGS.log_dir, tf.flags.FLAGS.verbosity) == (16.0, "there", True)
        def main(argv):
            assert flags.FLAGS.epsilon == 16.0
        try: tf.app.run(main)
        except SystemExit as end: assert not end.code
    """,
    "a file opened without b": """
        import tensorflow as tf
        open("a.bin", "wb").write(bytearray([137, 80, 200, 65, 66])); open("a.txt", "w").write("a,b")
        with tf.gfile.Open("a.bin") as f:
            assert f.read(2) == bytes(bytearray([137, 80])) and f.read() == bytes(bytearray([200, 65, 66]))
        with tf.gfile.Open("a.txt", "r") as f: assert f.read() == "a,b"
        assert tf.gfile.Exists("a.txt") and tf.gfile.FastGFile("a.txt").read() == "a,b"
    """,
    "contrib by all its paths": """
        import tensorflow as tf
        import tensorflow.contrib.slim as slim
        from tensorflow.contrib import slim as again, layers
        from tensorflow.contrib.slim.nets import inception, vgg, resnet_v1
        from tensorflow.contrib.slim.python.slim.nets import inception_v3
        from tensorflow.contrib.framework.python.ops import arg_scope, add_arg_scope
        from tensorflow.contrib.layers.python.layers import utils, initializers
        from tensorflow.contrib.framework import arg_scope as scope
        from tensorflow.contrib.framework.python.ops.arg_scope import has_arg_scope
        from tensorflow.contrib.framework.python.ops import arg_scope as function; assert function is arg_scope
        assert slim is again and tf.contrib.slim.conv2d and tf.contrib.slim.nets.inception.inception_v3
        assert inception_v3.inception_v3_base
        assert layers.xavier_initializer() and tf.contrib.layers.l2_regularizer(0.1)
        with slim.arg_scope([slim.conv2d], weights_regularizer=slim.l2_regularizer(0.1)):
            net = slim.conv2d(tf.zeros([1, 8, 8, 3]), 4, [3, 3], scope="c"); net = layers.flatten(slim.max_pool2d(net, [2, 2]))
        with scope([slim.fully_connected], activation_fn=None): net = slim.fully_connected(net, 10)
        assert net.get_shape().as_list() == [1, 10] and len(slim.get_model_variables()) == 4
        assert len(tf.losses.get_regularization_losses()) == 1
    """,
    "inception_v3, as the baselines used it": """
        import tensorflow as tf
        from tensorflow.contrib.slim.nets import inception
        slim = tf.contrib.slim
        x = tf.placeholder(tf.float32, [2, 299, 299, 3])
        with slim.arg_scope(inception.inception_v3_arg_scope()):
            logits, end_points = inception.inception_v3(x, num_classes=1001, is_training=False)
        with slim.arg_scope(inception.inception_v3_arg_scope()):
            inception.inception_v3(x, num_classes=1001, is_training=False, reuse=True)
        assert logits.get_shape().as_list() == [2, 1001] and "AuxLogits" in end_points and end_points["Predictions"] is not None
    """,
    "framework": """
        import tensorflow as tf
        f = tf.contrib.framework
        step = f.get_or_create_global_step(); v = f.model_variable("v", [1], initializer=tf.constant_initializer(2.0))
        with tf.Session() as sess:
            sess.run(tf.global_variables_initializer()); tf.train.Saver().save(sess, "./m")
        assert f.load_variable("./m", "v").tolist() == [2.0] and dict(f.list_variables("./m"))["v"] == [1]
        assert [x.op.name for x in f.get_variables_to_restore(exclude=["global_step"])] == ["v"]
    """,
    "contrib.image": """
        import math; import numpy as np; import tensorflow as tf
        x = np.arange(9, dtype=np.float32).reshape(1, 3, 3, 1)
        turned = tf.contrib.image.rotate(tf.constant(x), math.pi / 2)
        moved = tf.contrib.image.transform(tf.constant(x), [1, 0, 1, 0, 1, 0, 0, 0])
        with tf.Session() as sess: a, b = sess.run([turned, moved])
        assert np.allclose(a[0, :, :, 0], np.rot90(x[0, :, :, 0])), a
        assert b[0, :, :2, 0].tolist() == [[1, 2], [4, 5], [7, 8]] and not b[0, :, 2].any()
    """,
    "layers, losses, optimizers": """
        import tensorflow as tf
        x = tf.ones([2, 4, 4, 3]); net = tf.layers.conv2d(x, 2, 3, padding="same", activation=tf.nn.relu, name="c")
        net = tf.layers.batch_normalization(net, training=False); net = tf.layers.dense(tf.contrib.layers.flatten(net), 5)
        loss = tf.losses.sparse_softmax_cross_entropy(tf.constant([1, 2]), net)
        step = tf.train.AdamOptimizer(0.1).minimize(loss)
        with tf.Session() as sess:
            sess.run(tf.global_variables_initializer()); before = sess.run(loss)
            for _ in range(5): sess.run(step)
            assert sess.run(loss) < before
    """,
    "losses that a program collects, and gradients by hand": """
        import numpy as np; import tensorflow as tf
        x = tf.Variable(np.zeros((2, 3), np.float32)); logits = tf.stack([x[:, 0], x[:, 1]], axis=1)
        tf.losses.softmax_cross_entropy(tf.one_hot([0, 1], 2), logits, label_smoothing=0.1, weights=0.4)
        total = tf.add_n(tf.losses.get_losses()); grad, = tf.gradients(total, [x])
        grad = grad / tf.reduce_mean(tf.abs(grad), [1], keep_dims=True)
        i, y = tf.while_loop(lambda i, y: tf.less(i, 3), lambda i, y: (i + 1, y + tf.sign(grad)), [tf.constant(0), x])
        with tf.Session() as sess:
            sess.run(tf.global_variables_initializer()); assert sess.run(y)[0].tolist() == [-3.0, 3.0, 0.0]
    """,
    "scipy.misc and numpy of then": """
        import numpy as np; from scipy.misc import imread, imsave, imresize
        a = np.zeros((4, 4, 3), np.uint8); imsave("a.png", a); assert imread("a.png", mode="RGB").astype(np.float).sum() == 0
        assert np.uint8(200) + 100 == 300 and (np.ones(2, np.float32) * np.float64(2)).dtype == np.float32
    """,
    "Keras 2 on the same session": """
        import numpy as np
        import keras
        from keras import backend as K
        from keras.models import Sequential, Model, load_model
        from keras.layers import Dense, Flatten, Conv2D, Input
        from keras.applications.inception_v3 import preprocess_input
        import tensorflow as tf
        net = Sequential([Flatten(input_shape=(4, 4, 3)), Dense(2, activation="softmax")])
        x = tf.placeholder(tf.float32, [None, 4, 4, 3]); grad, = tf.gradients(K.sum(net(x)[:, 0]), x)
        with K.get_session().as_default() as sess:
            made = sess.run(grad, feed_dict={x: np.ones((1, 4, 4, 3)), K.learning_phase(): 0})
        net.save("net.h5"); again = load_model("net.h5"); ones = np.ones((1, 4, 4, 3))
        assert made.shape == (1, 4, 4, 3) and np.allclose(again.predict(ones), net.predict(ones))
    """,
}

RUN_ALL = """
import json, traceback
import tensorflow as tf
failures = {}
for name, source in sorted(json.load(open("programs.json")).items()):
    try:
        with tf.Graph().as_default():
            exec(compile(source, name, "exec"), {"__name__": "__main__"})
    except BaseException:
        failures[name] = traceback.format_exc()
json.dump(failures, open("failures.json", "w"))
"""


@pytest.fixture(scope="module", params=IMAGES)
def image(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def in_image(image: str, code: Path, *command: str, mounts: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run a command at /code, as the harness would: as root, without a network."""
    options = [f"--volume={mount}" for mount in (f"{code}:/code", *mounts)]
    return subprocess.run(
        ["docker", "run", "--rm", "--network=none", "--workdir=/code", *options, image, *command],
        capture_output=True, text=True, check=False, timeout=400,
    )  # fmt: skip


@pytest.fixture(scope="module")
def failures(image: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    place = tmp_path_factory.mktemp("programs")
    programs = {name: textwrap.dedent(source).strip() + "\n" for name, source in PROGRAMS.items()}
    (place / "programs.json").write_text(json.dumps(programs))
    (place / "all.py").write_text(RUN_ALL)
    done = in_image(image, place, "python", "all.py")
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((place / "failures.json").read_text())


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_of_2017_runs(name: str, failures: dict[str, str]) -> None:
    assert name not in failures, failures[name]


def laid_out(tmp_path: Path, entry: str) -> tuple[Path, tuple[str, ...], Path, np.ndarray]:
    """A copy of an entry, the mounts of its input and output, the output, and the clean images."""
    code, given, made = tmp_path / "code", tmp_path / "in", tmp_path / "out"
    shutil.copytree(DATA / entry, code)
    given.mkdir()
    made.mkdir()
    clean = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    for index, pixels in enumerate(clean):
        Image.fromarray(pixels).save(given / f"{index}.png")
    return code, (f"{given}:/input_images:ro", f"{made}:/output"), made, clean


def assert_attacked(made: Path, clean: np.ndarray, epsilon: int) -> None:
    adversarial = np.stack([np.asarray(Image.open(made / f"{index}.png")) for index in range(len(clean))])
    distance = np.abs(adversarial.astype(int) - clean).max(axis=(1, 2, 3))
    assert (distance > 0).all()
    assert (distance <= epsilon).all()


def test_the_smallest_whole_entry(image: str, tmp_path: Path) -> None:
    """PNG files through gfile, scipy.misc, flags, app.run; and a log whose last line is the program's."""
    code, mounts, made, clean = laid_out(tmp_path, "noise2017")
    done = in_image(image, code, "./run_attack.sh", "/input_images", "/output", "16", mounts=mounts)
    assert done.returncode == 0, done.stderr[-3000:]
    assert_attacked(made, clean, 16)
    assert done.stderr.splitlines()[-1] == "INFO:tensorflow:done: 32 pixels wide"


@pytest.mark.parametrize("image", [TODAY, THEN])  # slim's residual nets had other arguments in 1.1
def test_slim_a_checkpoint_and_a_monitored_session(image: str, tmp_path: Path) -> None:
    """It makes its checkpoint itself; then an attack and a defense read it."""
    code, mounts, made, clean = laid_out(tmp_path, "slim2017")
    done = in_image(image, code, "python", "make_checkpoint.py")
    assert done.returncode == 0, done.stderr[-3000:]
    arguments = ["--checkpoint_path=./model.ckpt", "--input_dir=/input_images", "--output_dir=/output", "--max_epsilon=8"]
    done = in_image(image, code, "python", "attack_fgsm.py", *arguments, mounts=mounts)
    assert done.returncode == 0, done.stderr[-3000:]
    assert_attacked(made, clean, 8)
    done = in_image(image, code, "python", "defense.py", "/input_images", "/output/result.csv", mounts=mounts)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [line.split(",") for line in (made / "result.csv").read_text().splitlines()]
    assert [name for name, _ in rows] == ["0.png", "1.png", "2.png"]
    assert all(0 <= int(label) < 11 for _, label in rows)


CLEVERHANS = """
    import numpy as np; import tensorflow as tf
    from cleverhans.attacks import FastGradientMethod
    slim = tf.contrib.slim
    class Model(object):
        built = False
        def __call__(self, x):
            logits = slim.fully_connected(slim.flatten(x), 5, activation_fn=None, scope="fc", reuse=self.built or None)
            self.built = True
            return tf.nn.softmax(logits)
    x = tf.placeholder(tf.float32, [2, 4, 4, 3])
    made = FastGradientMethod(Model()).generate(x, eps=0.1, clip_min=-1., clip_max=1.)
    clean = np.random.RandomState(0).uniform(-1, 1, (2, 4, 4, 3)).astype(np.float32)
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer()); made = sess.run(made, feed_dict={x: clean})
    assert abs(abs(made - clean).max() - 0.1) < 1e-5 and abs(made).max() <= 1
"""


def test_cleverhans_which_the_image_of_its_authors_had(tmp_path: Path) -> None:
    """A model that is any callable, as in 2017."""
    (tmp_path / "run.py").write_text(textwrap.dedent(CLEVERHANS))
    done = in_image(TODAY, tmp_path, "python", "run.py")
    assert done.returncode == 0, done.stderr[-3000:]


def test_plain_tensorflow_2_runs_none_of_it(tmp_path: Path) -> None:
    """What the start-up hook is for: without it the smallest entry fails in the very same image."""
    code, mounts, _, _ = laid_out(tmp_path, "noise2017")
    program = "import site, sys; sys.modules['compat2017'] = sys; site.main(); exec(open('attack_noise.py').read())"
    done = in_image(TODAY, code, "python", "-S", "-c", program, mounts=mounts)
    assert done.returncode == 1
    assert "Error" in done.stderr.splitlines()[-1]
