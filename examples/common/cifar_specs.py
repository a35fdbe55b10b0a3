"""The published CIFAR files: names, sizes, checksums and classes.

The sha256 sums of the archives are those pinned by `keras.datasets`; the md5
sums of the extracted files are those of `torchvision.datasets`, which gives
no sizes.
"""

from common.cifar_archives import CifarArchive
from common.image_folders import FolderSpec
from common.verified_files import FileSpec

CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

CIFAR10_ARCHIVE = CifarArchive(
    archive=FileSpec(
        "cifar-10-python.tar.gz",
        170498071,
        "sha256:"
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
    folder="cifar-10-batches-py",
    train=(
        FileSpec("data_batch_1", None, "md5:c99cafc152244af753f735de768cd75f"),
        FileSpec("data_batch_2", None, "md5:d4bba439e000b95fd0a9bffe97cbabec"),
        FileSpec("data_batch_3", None, "md5:54ebc095f3ab1f0389bbae665268c751"),
        FileSpec("data_batch_4", None, "md5:634d18415352ddfa80567beed471001a"),
        FileSpec("data_batch_5", None, "md5:482c414d41f54cd18b22e5b47cb7c3cb"),
    ),
    test=FileSpec("test_batch", None, "md5:40351d587109b95175f43aff81a1287e"),
    meta=FileSpec("batches.meta", None, "md5:5ff9c542aee3614f3951f8cda6e48888"),
    labels_key=b"labels",
    names_key=b"label_names",
)

CIFAR10_FOLDERS = FolderSpec(
    class_names=CIFAR10_CLASSES, train_per_class=5000, test_per_class=1000
)

CIFAR100_ARCHIVE = CifarArchive(
    archive=FileSpec(
        "cifar-100-python.tar.gz",
        169001437,
        "sha256:"
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    ),
    folder="cifar-100-python",
    train=(FileSpec("train", None, "md5:16019d7e3df5f24257cddd939b257f8d"),),
    test=FileSpec("test", None, "md5:f0ef6b0ae62326f3e7ffdfab6717acfc"),
    meta=FileSpec("meta", None, "md5:7973b15100ade9c7d40fb424638fde48"),
    labels_key=b"fine_labels",
    names_key=b"fine_label_names",
)

# Needed only with `keras.datasets`, which gives no names.
_CIFAR100_NAMES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy
bridge bus butterfly camel can castle caterpillar cattle chair chimpanzee
clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower
leopard lion lizard lobster man maple_tree motorcycle mountain mouse
mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree
plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea
seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train
trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
CIFAR100_CLASSES = tuple(_CIFAR100_NAMES.split())
