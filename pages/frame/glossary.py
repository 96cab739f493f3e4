"""The words that a newcomer has to be told, each in at most three sentences; pages open theirs at their top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

ADDRESS, ASKED = "glossary", "word"
"""Of the page, and the name in its address of the word that it begins with."""


@dataclass(frozen=True)
class Word:
    """One term of art.

    Attributes:
        term: as pages write it.
        text: what it means, in one to three sentences of Markdown.
        written: a regular expression of how texts of pages write it, upper and lower case told apart.
    """

    term: str
    text: str
    written: str


WORDS: Mapping[str, Word] = MappingProxyType(
    {
        "unlearnable": Word(
            "Unlearnable data",
            "Pictures that were changed a little before they were published, so that a network trained on them scores "
            "high in training and fails on ordinary pictures. The literature also says *availability poison*.",
            r"[Uu]nlearnable|availability poison",
        ),
        "shortcut": Word(
            "Shortcut",
            "Something in a picture that gives its class away and is easier to learn than the shape, such as a slight "
            "blur that all cats share. A network takes it, and is lost where it is missing.",
            r"[Ss]hortcut",
        ),
        "perturbation": Word(
            "Perturbation",
            "The difference between a poisoned picture and its clean original, pixel by pixel. It is often too small "
            "to see, so pages show it amplified.",
            r"[Pp]erturbation",
        ),
        "filter": Word(
            "Filter (kernel)",
            "A small table of weights, such as 3 × 3. Every pixel becomes the weighted sum of its neighbours, which "
            "blurs and shifts the picture; CUDA gives each class a filter of its own.",
            r"[Kk]ernel|[Ff]ilter\b|[Ff]ilters\b",
        ),
        "key": Word(
            "Private key",
            "The number from which an attack draws its secret patterns. The same key gives the same poison; who does "
            "not know it cannot simply undo the change.",
            r"[Pp]rivate key|secret key",
        ),
        "epsilon": Word(
            "ε",
            "How much a bounded attack may change any value of a pixel, in 1/255 of the full range from black to "
            "white. An ε of 8 is a usual limit.",
            r"ε",
        ),
        "crafting": Word(
            "Crafting",
            "Some attacks first train a network of their own, the *surrogate*, and fit every picture's change to it. "
            "This takes minutes to hours and is done once for a set of pictures.",
            r"[Cc]rafted|[Cc]rafting|[Ss]urrogate",
        ),
        "poison-rate": Word(
            "Poison rate",
            "The share of the training pictures that the attack may change. The others are published as they are.",
            r"[Pp]oison rate|% of the images poisoned",
        ),
        "clean-accuracy": Word(
            "Clean accuracy",
            "The share of ordinary test pictures, never seen in training and never changed, whose class a trained "
            "network names correctly. A poison succeeds where it is low, a defence where it is high.",
            r"[Cc]lean accuracy|[Cc]lean test accuracy|clean test images",
        ),
        "seed": Word(
            "Seed and interval",
            "Training begins with random numbers, and the *seed* names them. The same training with several seeds "
            "gives several accuracies; the interval says how far their mean can be trusted.",
            r"[Ss]eeds?\b|95 %|[Ii]nterval",
        ),
        "coin": Word(
            "COIN and α",
            "A defence that moves every pixel by a random amount of up to α pixels, anew in each pass over the "
            "pictures. Patterns finer than α are no longer worth learning, while shapes survive.",
            r"\bCOIN\b",
        ),
        "theta": Word(
            r"$\Theta_{imi}$ and $\Theta_{imc}$",
            r"Attack and defence together act on a picture like one random matrix. $\Theta_{imi}$ is how much it "
            r"varies within a class, $\Theta_{imc}$ how alike its means of two classes are (1: nothing to tell apart). "
            "Higher is better for whoever defends, as far as Θ can tell.",
            r"Θ|\\Theta",
        ),
        "d-vae": Word(
            "D-VAE (x̂, p̂)",
            "A defence that squeezes each picture through a bottleneck too narrow for weak noise; the result is the "
            "reconstruction x̂. A second decoder sees only the class and draws what all pictures of the class share, "
            "the poison p̂, which is subtracted.",
            r"D-VAE|x̂|p̂",
        ),
        "rate": Word(
            "Rate target (nats)",
            "How much information D-VAE's bottleneck lets through per position, in *nats*: one nat is about 1.44 bits. "
            "A low target removes more of the noise, and more of the picture.",
            r"\bnats?\b|[Rr]ate target",
        ),
        "staged": Word(
            "Staged training",
            "A defence that never touches the pictures: whenever the features fall into suspiciously clear clusters, "
            "it goes back a step and slows the first layers down.",
            r"[Ss]taged training|[Ss]taged\b",
        ),
        "features": Word(
            "Features",
            "What a layer of a network holds of a picture: a list of numbers, from which the last layer reads the "
            "class. Pictures with similar features look alike to the network.",
            r"[Ff]eatures\b",
        ),
        "umap": Word(
            "UMAP",
            "A map of features in the plane that keeps neighbours together. Which points are close means something; "
            "distances between far clusters, and the axes, mean little.",
            r"UMAP",
        ),
        "left": Word(
            "Poison left, shape left",
            "Of pictures that were poisoned and then defended, the share that a network which learned the poison still "
            "gets right, and the share that a network trained on clean pictures still gets right. A good defence "
            "leaves little of the first and much of the second.",
            r"[Pp]oison left|[Ss]hape left",
        ),
        "nmi": Word(
            "NMI",
            "How well two ways of sorting the same pictures agree, such as clusters and classes: 0 says that one tells "
            "nothing about the other, 1 that they are the same.",
            r"NMI|mutual information",
        ),
        "acm": Word(
            "ACM",
            "How far apart the classes lie inside a layer, in units of the spread within each of them. Staged training "
            "takes a sudden rise as the sign that a shortcut is being learned.",
            r"\bACM\b",
        ),
    }
)
"""By the anchor on the page Glossary, in the order in which a newcomer meets them."""

LIKE_GLAZE = """
**Is this like Nightshade or Glaze?** A relative, not the same. [Glaze](https://arxiv.org/abs/2302.04222) hides an
artist's *style*: a text-to-image model that is fine-tuned on the pictures learns another style.
[Nightshade](https://arxiv.org/abs/2310.13828) is meant to do damage: a text-to-image model that trains on its
pictures draws something else for a word, such as a cat for *dog*. Both aim at models that *draw*. The poisons of this
program aim at models that *sort*: a classifier that is trained on labelled pictures should learn nothing from them.
None of the three protects for certain. Whoever collects the pictures can defend, and the group **Defend** shows how
far that goes here.
"""


def term(key: str) -> str:
    """Markdown that shows a term and opens its entry, in a tab of its own so that nothing on the page is lost.

    Args:
        key: of :data:`WORDS`.

    Raises:
        KeyError: there is no such word.
    """
    # Relative, because the app may be served below a path; all pages lie side by side. An anchor would not do: browsers
    # look for it before the page is drawn.
    return f"[{WORDS[key].term}]({ADDRESS}?{ASKED}={key})"
