"""Files of weights from others: only numbers that lie in the file itself are ever read."""

import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

from keras_transfer.errors import BadWeights
from keras_transfer.networks.keras_files import load_keras, load_keras_weights
from keras_transfer.networks.weights import load_backbone_weights, verify_weights

SECRET = b"user:password\n" * 8


def network(seed=0):
    """Two convolutions and a normalization: 35 numbers."""
    pixels = x = keras.Input((4, 4, 2))
    x = keras.layers.Conv2D(3, 1, name="first")(x)
    x = keras.layers.BatchNormalization(name="second")(x)
    model = keras.Model(pixels, keras.layers.Conv2D(2, 1, name="third")(x))
    numbers = np.random.default_rng(seed)
    model.set_weights([numbers.normal(size=w.shape).astype("float32") for w in model.weights])
    return model


@pytest.fixture(scope="module")
def source():
    return network()


@pytest.fixture(scope="module")
def target():
    return network(1)


@pytest.fixture
def secret(tmp_path):
    file = tmp_path / "secret.txt"
    file.write_bytes(SECRET)
    return file


KERNEL = "layers/conv2d/vars/0"


def external(file, secret):
    """The kernel lies in a text file."""
    del file[KERNEL]
    file.create_dataset(KERNEL, (1, 1, 2, 3), "float32", external=[(str(secret), 0, 24)])


def external_link(file, secret):
    other = secret.with_suffix(".h5")
    with h5py.File(other, "w") as elsewhere:
        elsewhere["x"] = np.ones((1, 1, 2, 3), "float32")
    del file[KERNEL]
    file[KERNEL] = h5py.ExternalLink(str(other), "/x")


def external_group(file, secret):
    other = secret.with_suffix(".h5")
    with h5py.File(other, "w") as elsewhere:
        elsewhere["vars/0"] = np.ones((1, 1, 2, 3), "float32")
    del file["layers/conv2d"]
    file["layers/conv2d"] = h5py.ExternalLink(str(other), "/")


def soft_link(file, secret):
    file["moved"] = file[KERNEL][...]
    del file[KERNEL]
    file[KERNEL] = h5py.SoftLink("/moved")


def virtual(file, secret):
    other = secret.with_suffix(".h5")
    with h5py.File(other, "w") as elsewhere:
        elsewhere["x"] = np.ones((1, 1, 2, 3), "float32")
    layout = h5py.VirtualLayout((1, 1, 2, 3), "float32")
    layout[...] = h5py.VirtualSource(other, "x", (1, 1, 2, 3))
    del file[KERNEL]
    file.create_virtual_dataset(KERNEL, layout)


def texts(file, secret):
    del file[KERNEL]
    file.create_dataset(KERNEL, data=np.full((1, 1, 2, 3), "text", object))


def references(file, secret):
    del file[KERNEL]
    file.create_dataset(KERNEL, data=np.full((1, 1, 2, 3), file.ref, object), dtype=h5py.ref_dtype)


def big_endian(file, secret):
    """What one flipped bit in the description of a type makes of little-endian numbers."""
    data = file[KERNEL][...]
    del file[KERNEL]
    file.create_dataset(KERNEL, data=data, dtype=">f4")


def never_written(file, secret):
    """Declared only: HDF5 would return zeros."""
    del file[KERNEL]
    file.create_dataset(KERNEL, (1, 1, 2, 3), "float32")


def huge(file, secret):
    """4 TB in a few hundred bytes."""
    file.create_dataset("huge", (2**40,), "float32", chunks=(2**20,), compression="gzip")


def zeros(file, secret):
    """16 MB of zeros, compressed to 16 kB."""
    file.create_dataset("zeros", data=np.zeros(2**22, "float32"), chunks=True, compression="gzip")


def huge_piece(file, secret):
    """A number in a piece of 256 MB, which HDF5 would decompress as a whole."""
    file.create_dataset("x", (1,), "float32", maxshape=(None,), chunks=(2**26,), compression="gzip")


def circle(file, secret):
    file["layers/conv2d/layers"] = file["layers"]


def named_type(file, secret):
    file["type"] = np.dtype("float32")


HOSTILE = [
    external, external_link, external_group, soft_link, virtual, texts, references, big_endian,
    never_written, huge, zeros, huge_piece, circle, named_type,
]  # fmt: skip


@pytest.fixture(params=[".weights.h5", ".keras"])
def saved(request, source, tmp_path):
    """A function that changes the HDF5 data of a file, and the file's path."""
    path = tmp_path / f"w{request.param}"
    inner = tmp_path / "inner.weights.h5"
    source.save_weights(inner)

    def change(damage, secret):
        with h5py.File(inner, "a") as file:
            damage(file, secret)
        if path.suffix != ".keras":
            path.write_bytes(inner.read_bytes())
            return path
        source.save(tmp_path / "sound.keras")
        with zipfile.ZipFile(tmp_path / "sound.keras") as sound, zipfile.ZipFile(path, "w") as out:
            for name in sound.namelist():
                h5 = name == "model.weights.h5"
                out.writestr(name, inner.read_bytes() if h5 else sound.read(name))
        return path

    return change


def refusal(target, path):
    before = target.get_weights()
    with pytest.raises(BadWeights) as error:
        load_backbone_weights(target, str(path), name="convnet_small")
    assert all(map(np.array_equal, before, target.get_weights()))
    return str(error.value)


@pytest.mark.parametrize("damage", HOSTILE)
def test_what_is_not_numbers_in_the_file_is_refused(damage, saved, secret, target):
    path = saved(damage, secret)

    message = refusal(target, path)

    assert message.startswith(str(path))
    assert "password" not in message
    if path.suffix == ".keras":
        with pytest.raises(BadWeights):
            load_keras(path)
        with pytest.raises(BadWeights):
            load_keras_weights(target, path)


def test_the_message_says_which_array_is_kept_where(saved, secret, target):
    message = refusal(target, saved(external, secret))

    assert f"/{KERNEL} is kept in another file, '{secret}'" in message


def whole_numbers(file, secret):
    """What a flipped bit may make of others."""
    data = file[KERNEL][...].view("uint32")
    del file[KERNEL]
    file.create_dataset(KERNEL, data=data)


def test_whole_numbers_are_no_weights_of_a_convolution(saved, secret, target):
    message = refusal(target, saved(whole_numbers, secret))

    assert "holds whole numbers as weights for 'first'" in message


def test_verifying_reads_every_number(tmp_path):
    """One of 300,000 is not a number."""
    from keras_transfer.networks.backbones import build_backbone

    backbone = build_backbone("convnet_small", image_size=8)
    path = tmp_path / "w.weights.h5"
    gamma = backbone.get_layer("block1_bn1").gamma
    gamma.assign([np.nan] + [1.0] * (gamma.shape[0] - 1))
    backbone.save_weights(path)

    with pytest.raises(BadWeights, match="NaN or infinite weights for 'block1_bn1'"):
        verify_weights(path, "convnet_small")


def test_a_compressed_file_is_read(source, target, tmp_path):
    """As h5repack writes it."""
    source.save_weights(tmp_path / "plain.weights.h5")
    with (
        h5py.File(tmp_path / "plain.weights.h5") as plain,
        h5py.File(tmp_path / "packed.weights.h5", "w") as packed,
    ):
        names = []
        plain.visit(names.append)
        for name in names:
            node = plain[name]
            if isinstance(node, h5py.Dataset):
                packed.create_dataset(name, data=node, chunks=node.shape, compression="gzip")

    load_backbone_weights(target, str(tmp_path / "packed.weights.h5"), name="convnet_small")

    assert all(map(np.array_equal, target.get_weights(), source.get_weights()))


def numbers_of(path):
    """Places of the bytes of arrays in an HDF5 file, and of those that say where arrays begin."""
    places, content = set(), path.read_bytes()

    def add(name, node):
        if isinstance(node, h5py.Dataset):
            start = node.id.get_offset()
            address = content.index(start.to_bytes(8, "little"))
            places.update(range(start, start + node.nbytes), range(address, address + 8))

    with h5py.File(path) as file:
        file.visititems(add)
    return places


def written(source, path):
    if path.suffixes == [".h5"]:
        from keras.src.legacy.saving import legacy_h5_format

        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, source)
    else:
        (source.save if path.suffix == ".keras" else source.save_weights)(path)
    return path.read_bytes()


def load_or_refuse(target, path):
    """The weights; None if they are refused."""
    try:
        load_backbone_weights(target, str(path), name="convnet_small")
    except BadWeights:
        return None
    return target.get_weights()


def assert_right_or_refused(source, target, tmp_path, name, flips):
    content = written(source, tmp_path / name)
    # Another number, or place of numbers, can be noticed in a .keras file only: it has checksums.
    free = set() if name.endswith(".keras") else numbers_of(tmp_path / name)
    rng, refused = np.random.default_rng(0), 0
    for place in rng.choice([*set(range(len(content))) - free], flips, replace=False):
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        (tmp_path / name).write_bytes(damaged)
        found = load_or_refuse(target, tmp_path / name)
        refused += found is None
        assert found is None or all(map(np.array_equal, found, source.get_weights())), place
    assert refused > 0


NAMES = ["w.weights.h5", "w.h5", "w.keras"]


@pytest.mark.parametrize("name", NAMES)
def test_flipped_bits_give_the_right_weights_or_none(name, source, target, tmp_path):
    assert_right_or_refused(source, target, tmp_path, name, 60)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_thousand_flipped_bits_give_the_right_weights_or_none(name, source, target, tmp_path):
    assert_right_or_refused(source, target, tmp_path, name, 1000)


@pytest.mark.parametrize("name", NAMES)
def test_files_that_break_off_are_refused(name, source, target, tmp_path):
    content = written(source, tmp_path / name)
    for length in range(0, len(content), len(content) // 25):
        (tmp_path / name).write_bytes(content[:length])
        assert load_or_refuse(target, tmp_path / name) is None


def test_every_flipped_number_of_an_archive_is_noticed(source, target, tmp_path):
    """In the middle of the weights; Keras alone would load them."""
    path = tmp_path / "w.keras"
    content = bytearray(written(source, path))
    place = content.index(source.get_weights()[0].tobytes())
    content[place + 2] ^= 1
    path.write_bytes(content)

    assert "Bad CRC-32" in refusal(target, path)
    with pytest.raises(BadWeights, match="Bad CRC-32"):
        load_keras(path)


def repacked(source, path, change):
    source.save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in change(members).items():
            archive.writestr(name, content)
    return path


def test_an_archive_with_another_member_is_not_loaded(source, tmp_path):
    path = repacked(source, tmp_path / "m.keras", lambda has: {**has, "assets/../../x": b"y"})

    with pytest.raises(BadWeights, match=r"holds 'assets/../../x'"):
        load_keras(path)


def test_an_archive_that_unpacks_to_far_more_is_not_read(source, tmp_path):
    path = repacked(source, tmp_path / "m.keras", lambda has: {**has, "config.json": bytes(10**8)})

    with pytest.raises(BadWeights, match=r"declares 100000000 bytes of config\.json"):
        load_keras(path)


@pytest.mark.parametrize("name", ["Lambda", "StringLookup", "TFSMLayer"])
def test_layers_that_run_code_or_read_files_are_not_loaded(name, source, tmp_path):
    def change(has):
        config = json.loads(has["config.json"])
        config["config"]["layers"][1]["class_name"] = name
        return {**has, "config.json": json.dumps(config)}

    path = repacked(source, tmp_path / "m.keras", change)

    with pytest.raises(BadWeights, match=f"has the layers {name}"):
        load_keras(path)
