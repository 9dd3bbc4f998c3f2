"""Runs on a control plane: gives other images to the static pods that kubeadm has written, which are started anew."""

import json
import os
import re
import stat
from typing import Dict, List

from tasks.node_agent.files import exact_bytes, exact_text_of, write_atomically

MANIFESTS = "/etc/kubernetes/manifests"
IMAGE = re.compile(r"(?m)^( *(?:- )?image: *)(\S+)[ \t]*$")


def with_image(text: str, image: str) -> str:
    """The manifest of a static pod with another image for its only container.

    Args:
        text: The manifest, as kubeadm writes it.
        image: The reference of the image.

    Raises:
        ValueError: It has no container, or several, which kubeadm writes none of.
    """
    count = len(IMAGE.findall(text))
    if count != 1:
        raise ValueError("it names {} images, and one is wanted".format(count))
    return IMAGE.sub(lambda found: found.group(1) + image, text)


def replace_images(images: Dict[str, str], directory: str = MANIFESTS) -> List[str]:
    """Give static pods other images, those that have another one; all or, when one cannot be understood, none.

    Args:
        images: The references by the pods' names.
        directory: Where the kubelet finds their manifests; a name in it that begins with a dot is none to it.

    Returns:
        The pods that have been changed.
    """
    texts = {}
    for name, image in images.items():
        path = os.path.join(directory, name + ".yaml")
        text = exact_text_of(path)
        try:
            texts[path] = (name, text, with_image(text, image))
        except ValueError as error:
            raise SystemExit("{}: {}".format(path, error)) from None
    done = []
    for path, (name, before, after) in texts.items():
        if before != after:
            seen = os.stat(path)
            write_atomically(path, exact_bytes(after), stat.S_IMODE(seen.st_mode), (seen.st_uid, seen.st_gid))
            done.append(name)
    return done


if "PAYLOAD" in globals():
    print(json.dumps(replace_images(**PAYLOAD)))  # type: ignore[name-defined]
