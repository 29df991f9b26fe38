"""What the data set ``photos`` is made from: packages, cut-outs, backgrounds. The lists were made by looking at all of them."""

from __future__ import annotations

from pathlib import Path

from harness.dataset.debian import Package

CUT_OUTS = Package("tuxpaint-stamps-default", "2022.06.04-1",
                   "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34", "usr/share/tuxpaint/stamps")
BACKGROUNDS = (
    Package("gnome-backgrounds", "43.1-1",
            "a670dea21572652127d6e55f9cdb3a226d0037854fdbfd037003c7d00ee0dc4e", "usr/share/backgrounds"),
    Package("lomiri-wallpapers-16.04", "20.04.0-2",
            "a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab", "usr/share/backgrounds"),
    Package("lomiri-wallpapers-20.04", "20.04.0-2",
            "d44e89b8473aafe64a5b678f014862dc31335aaaf18665c544d985d854f1a709", "usr/share/backgrounds"),
    Package("mate-backgrounds", "1.26.0-1",
            "7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04", "usr/share/backgrounds"),
    Package("ukui-wallpapers", "20.04.3-1.1",
            "6d49be70152e6d603163458e177e501deb0be8f2916389ccbfcf59b0d7fc0262", "usr/share/backgrounds"),
)

#: Cut-outs that are drawings or symbols, and people: what their paths begin with. Any directory ``cartoon`` is left out too.
DRAWINGS = (
    "symbols/", "clothes/hats/", "clothes/button", "clothes/t_", "food/pizza", "animals/mammals/echidna",
    "animals/mammals/hedgehog",
    "animals/insects/bee", "animals/insects/fly", "medical/tooth", "military/ammunition/", "naturalforces/", "people/",
    "military/fireman", "military/final-roll-call", "seasonal/christmas/Santa", "seasonal/christmas/bow",
    "seasonal/christmas/candy_cane", "seasonal/christmas/hard_candy", "seasonal/christmas/lamp", "seasonal/christmas/santahat",
    "seasonal/christmas/star", "seasonal/christmas/stocking", "seasonal/christmas/tree", "seasonal/christmas/xmas_tp_bulb",
    "seasonal/easter/", "seasonal/halloween/bat", "seasonal/halloween/blackcat", "seasonal/halloween/ghost",
    "seasonal/halloween/jackolantern", "seasonal/halloween/skull", "seasonal/halloween/spider", "seasonal/hanukkah/",
    "seasonal/newyears/", "town/flags/", "town/monuments/inukshuk-outline", "town/roadsigns/arrow",
    "town/roadsigns/crossroads", "town/roadsigns/give_way_sign", "town/roadsigns/hospital", "town/roadsigns/no_entry_sign",
    "town/roadsigns/roundabout", "town/roadsigns/stop", "town/roadsigns/t-junction", "town/roadsigns/toilets",
    "town/roadsigns/xing", "town/roadsigns/yield", "vehicles/emergency/sedan_police",
)

#: Cut-outs that all three nets agree on and are wrong about: ImageNet has no such class, and they take the next best.
MISTAKEN = (
    "animals/birds/turkey", "animals/insects/grasshopper", "animals/mammals/camel/camel", "food/nuts/walnut",
    "food/vegetables/potato", "plants/flowers/flower8", "plants/flowers/plastic/", "space/planets/", "sports/cricketball",
)
#: Of 75 backgrounds those that show nothing a net could take for the object, have no letters and no transparent part.
WITHOUT_OBJECT = frozenset({
    "adwaita-d", "adwaita-l", "grid-d", "grid-l", "licorice-d", "licorice-l", "truchet-d", "truchet-l",
    "Dragonfly_by_Bolly", "aitzgorri_by_Aitzol_Berasategi", "analogpattern_by_Peter_Nerlich", "life_by_Aitzol_Berasategi",
    "sunset_by_Aitzol_Berasategi", "umang_by_Abhishek_Mudgal",
    "Fossa_by_Jasper_Roks", "Infinite-Sea_by_Aury88", "Painting-Colors_by__herobrine7gamer",
    "Elephants", "Ubuntu-Mate-Cold-no-logo", "Ubuntu-Mate-Warm-no-logo", "Aqua", "Dune", "GreenMeadow", "RainDrops",
    "Storm", "Wood", "2004default", "fluent-color", "rhythm", "string",
})


def cut_outs(root: Path) -> list[Path]:
    """The cut-outs that are used, below an unpacked package, in the order of their names."""
    return [path for path in sorted(root.rglob("*.png")) if _is_used(path.relative_to(root))]


def backgrounds(roots: list[Path]) -> list[Path]:
    """The backgrounds that are used, in the order of packages and names."""
    return [path for root in roots for path in sorted(root.rglob("*"))
            if path.stem in WITHOUT_OBJECT and path.suffix in {".jpg", ".png", ".webp"}]


def _is_used(path: Path) -> bool:
    return "cartoon" not in path.parts and not path.stem.endswith("_mirror") and not path.as_posix().startswith(DRAWINGS + MISTAKEN)
