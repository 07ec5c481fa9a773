"""Made-up sentences of four languages, out of word lists and sentence patterns written for this purpose.

Nouns come with an article that does not change in the patterns used here (German has neuter and feminine
ones only, for their nominative and accusative are one form); adjectives stand where they do not agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Language:
    """The words and patterns of a language.

    Attributes:
        nouns: What acts and is acted upon, article and all where `{n}` is to be a whole phrase.
        plurals: Several of them, without an article.
        verbs: In the past tense and with an object.
        adjectives: After a form of "to be".
        adverbs: Between verb and object, or at the end.
        places: Whole phrases that say where.
        times: Whole phrases that say when; they may begin a sentence.
        patterns: Sentences with `{n}`, `{p}`, `{v}`, `{a}`, `{d}`, `{l}` and `{t}` for these, in this order.
    """

    nouns: tuple[str, ...]
    plurals: tuple[str, ...]
    verbs: tuple[str, ...]
    adjectives: tuple[str, ...]
    adverbs: tuple[str, ...]
    places: tuple[str, ...]
    times: tuple[str, ...]
    patterns: tuple[str, ...]

    def topic(self, rng: np.random.Generator) -> "Language":
        """The same language with a part of its nouns, plurals and verbs: what one page is about."""

        def part(words: tuple[str, ...]) -> tuple[str, ...]:
            number = max(12, 2 * len(words) // 3)
            chosen = rng.choice(len(words), size=min(number, len(words)), replace=False)
            return tuple(words[index] for index in sorted(chosen.tolist()))

        return Language(
            part(self.nouns),
            part(self.plurals),
            part(self.verbs),
            self.adjectives,
            self.adverbs,
            self.places,
            self.times,
            self.patterns,
        )

    def sentence(self, rng: np.random.Generator) -> str:
        """A sentence with a capital and a full stop."""
        words = {
            "{n}": self.nouns,
            "{p}": self.plurals,
            "{v}": self.verbs,
            "{a}": self.adjectives,
            "{d}": self.adverbs,
            "{l}": self.places,
            "{t}": self.times,
        }
        parts = [
            _pick(words[part], rng) if part in words else part
            for part in _pick(self.patterns, rng).split(" ")
        ]
        text = " ".join(parts).replace(" ,", ",")
        return text[0].upper() + text[1:] + "."

    def paragraph(self, rng: np.random.Generator, num_sentences: int) -> str:
        """Sentences in a line."""
        return " ".join(self.sentence(rng) for _ in range(num_sentences))

    def title(self, rng: np.random.Generator) -> str:
        """A few words without a full stop."""
        text = f"{_pick(self.nouns, rng)} {_pick(self.places, rng)}"
        return text[0].upper() + text[1:]


def _pick(words: Sequence[str], rng: np.random.Generator) -> str:
    return words[int(rng.integers(len(words)))]


def _lines(text: str) -> tuple[str, ...]:
    return tuple(entry.strip() for entry in text.replace("\n", ";").split(";") if entry.strip())


ENGLISH = Language(
    nouns=tuple(
        f"the {word}"
        for word in """harbour village teacher river library engine garden market bridge doctor painter forest
        kitchen council lantern railway mountain baker orchestra farmer museum island student captain harvest
        workshop carpenter theatre valley newspaper telescope bicycle gardener hospital factory festival
        fisherman school family neighbour traveller professor storm winter summer letter recipe machine castle
        canal meadow printer weaver choir lighthouse cellar quarry orchard ferry shepherd clockmaker archive
        courtyard reservoir greenhouse observatory mayor nurse pilot sculptor surveyor translator historian
        chemist violinist windmill tunnel barge chapel mine depot cook committee apprentice""".split()
    ),
    plurals=tuple(
        """apples maps windows songs boats stones letters tools clocks candles horses bottles roads coins
        baskets questions answers carpets engines birds chairs drawings stories feathers gloves hammers
        islands journals keys ladders mirrors needles oranges pictures ropes shells tickets umbrellas vases
        wheels tables seeds potatoes lamps bricks planks kettles sails nets books""".split()
    ),
    verbs=tuple(
        """repaired described followed visited measured painted carried discovered answered gathered cleaned
        explained borrowed delivered copied welcomed protected counted remembered sketched supplied examined
        planted sorted polished recorded opened closed restored compared collected surprised improved watched
        supported crossed photographed organised translated rebuilt inherited exchanged studied""".split()
    ),
    adjectives=tuple(
        """quiet narrow curious patient ancient bright careful distant gentle generous humble lively modest
        pleasant proud ready rough sharp silent simple solid steady strange sturdy tidy useful warm weary wide
        wooden busy clever cold dusty empty famous golden heavy""".split()
    ),
    adverbs=tuple(
        """slowly carefully often rarely quickly gladly quietly again together soon finally barely happily
        nearly patiently""".split()
    ),
    places=_lines(
        """near the old mill; behind the station; beyond the hill; in the town square; along the coast
        under the stone arch; past the last field; beside the lake; in a small room; on the first floor
        outside the city wall; up the stairs; between two rivers; in the northern district; by the open fire
        across the border; opposite the post office; in the road; above the harbour; in a distant country
        over the roof; among the trees; inside the old walls; below the terrace; at the corner"""
    ),
    times=_lines(
        """in the early morning; after the long winter; before sunset; during the holidays; on a cold Monday
        in the last century; at the weekend; every second year; late in autumn; shortly after noon
        for three whole days; in early spring; some years ago; on the following evening; while the rain fell
        in those days; when the bells rang; now and then; without a word; at last; that same night"""
    ),
    patterns=_lines(
        """{t} , {n} {v} {n} {l}
        {n} {d} {v} {p} that {n} had left {l}
        {n} was {a} and {a} , but nobody {l} {v} it
        some say that {n} {d} {v} {n} with {p} and {p}
        when {n} was {a} , {n} {v} {p} {l}
        {p} have to be {a} if {n} is to be {v} {t}
        nobody knew why {n} {v} {p} {t}
        {n} {l} {v} {n} , and {t} {n} {v} {p}
        there were {p} and {p} {l} , most of them {a}
        {t} {n} became {a} because {n} {d} {v} {n}
        of all {p} , those from {n} seemed the most {a}
        {n} asked whether {n} {v} {p} or only {p}
        although {n} seemed {a} , {p} were {d} {v} {l}
        people {l} remember how {n} {v} {n} {t}
        with {p} in hand , {n} {d} {v} {n}
        neither {n} nor {n} had {v} {p} before"""
    ),
)

GERMAN = Language(
    nouns=_lines(
        """das Haus; die Stadt; die Schule; das Museum; die Lehrerin; das Kind; die Familie; die Brücke
        das Dorf; die Insel; die Werkstatt; das Theater; die Zeitung; das Fahrrad; die Gärtnerin
        das Krankenhaus; die Fabrik; das Schiff; die Nachbarin; die Maschine; das Schloss; die Wiese
        die Druckerei; das Orchester; die Bibliothek; das Feuer; die Werft; die Mühle; das Archiv; die Kirche
        die Ärztin; das Gewächshaus; die Bürgermeisterin; die Köchin; das Rathaus; die Reisegruppe"""
    ),
    plurals=_lines(
        """Äpfel; Karten; Fenster; Lieder; Boote; Steine; Briefe; Werkzeuge; Uhren; Kerzen; Pferde; Flaschen
        Straßen; Münzen; Körbe; Fragen; Antworten; Teppiche; Vögel; Stühle; Zeichnungen; Geschichten; Federn
        Handschuhe; Schlüssel; Leitern; Spiegel; Nadeln; Bilder; Seile; Muscheln; Bücher"""
    ),
    verbs=tuple(
        """beschrieb besuchte verfolgte malte trug entdeckte sammelte reinigte erklärte lieferte kopierte
        begrüßte schützte zählte skizzierte untersuchte pflanzte sortierte öffnete schloss verglich
        überraschte verbesserte beobachtete unterstützte überquerte fotografierte übersetzte""".split()
    ),
    adjectives=tuple(
        """ruhig schmal neugierig geduldig uralt hell vorsichtig fern sanft großzügig lebhaft bescheiden
        angenehm stolz bereit rau scharf still einfach seltsam ordentlich nützlich warm müde breit""".split()
    ),
    adverbs=tuple(
        "langsam sorgfältig oft selten schnell gern leise wieder gemeinsam bald endlich kaum".split()
    ),
    places=_lines(
        """neben der alten Mühle; hinter dem Bahnhof; auf der anderen Seite; auf dem Marktplatz; an der Küste
        am Rand des Feldes; am See; in einem kleinen Zimmer; im ersten Stock; vor der Stadtmauer
        zwischen zwei Flüssen; im Norden des Landes; am offenen Kamin; jenseits der Grenze"""
    ),
    times=_lines(
        """am frühen Morgen; nach dem langen Winter; vor Sonnenuntergang; während der Ferien; im Herbst
        im letzten Jahrhundert; am Ende der Woche; alle zwei Jahre; kurz nach Mittag; vor einigen Jahren
        am folgenden Abend; in jenen Tagen"""
    ),
    patterns=_lines(
        """{t} {v} {n} {p} {l}
        {n} {v} {d} {p} , die niemand {l} gesehen hatte
        {n} war {a} und {a} , aber niemand wusste davon
        man sagt , dass {n} {t} {p} und {p} brachte
        obwohl {n} {a} schien , {v} {n} {d} {p}
        {l} gab es {p} und {p} , die meisten davon waren {a}
        niemand verstand , warum {n} {l} so {a} wurde
        weder {n} noch {n} {v} jemals {p}
        wenn {n} {a} ist , sind {p} {d} nicht weit
        viele Menschen erinnern sich , wie {n} {t} {n} {v}"""
    ),
)

FRENCH = Language(
    nouns=_lines(
        """la ville; le village; le maître; la rivière; la bibliothèque; le moteur; le jardin; le marché
        le pont; le médecin; le peintre; la forêt; la cuisine; le conseil; la lanterne; la montagne
        le boulanger; le paysan; le musée; la voisine; la récolte; le capitaine; le théâtre; la vallée
        le journal; la fabrique; la fête; le pêcheur; la famille; le voyageur; la machine; le château
        la tempête; le canal; la prairie; la lettre"""
    ),
    plurals=_lines(
        """pommes; cartes; fenêtres; chansons; bateaux; pierres; lettres; outils; horloges; bougies; chevaux
        bouteilles; routes; pièces; paniers; questions; réponses; tapis; oiseaux; chaises; dessins; histoires
        plumes; gants; marteaux; clés; échelles; miroirs; images; cordes; coquillages; livres"""
    ),
    verbs=tuple(
        """répara décrivit suivit visita mesura peignit porta découvrit ramassa nettoya expliqua emprunta
        livra copia accueillit protégea compta dessina fournit examina planta polit ouvrit ferma restaura
        compara surprit améliora observa soutint traversa traduisit""".split()
    ),
    adjectives=tuple(
        """calme étroit tranquille utile rapide simple fragile rare solide étrange sévère habile immense
        modeste pauvre sensible sincère sombre timide vaste""".split()
    ),
    adverbs=tuple("lentement souvent rarement vite encore ensemble bientôt enfin presque toujours".split()),
    places=_lines(
        """près du vieux moulin; derrière la gare; de l'autre côté de la colline; sur la place; au bord du lac
        le long de la côte; sous la voûte de pierre; dans une petite chambre; au premier étage; hors des murs
        entre deux rivières; au nord du pays; à côté de la poste; au milieu de la route"""
    ),
    times=_lines(
        """tôt le matin; après le long hiver; avant le coucher du soleil; pendant les vacances; en automne
        au siècle dernier; à la fin de la semaine; tous les deux ans; peu après midi; il y a quelques années
        le soir suivant; à cette époque"""
    ),
    patterns=_lines(
        """{t} , {n} {v} {n} {l}
        {n} {v} {d} des {p} que personne n'avait vus {l}
        {n} était {a} et {a} , mais personne ne le savait
        on dit que {n} {t} {v} {n} avec des {p} et des {p}
        quand {n} était {a} , {n} {v} les {p} {l}
        bien que {n} semblât {a} , les {p} étaient {d} là
        il y avait {l} des {p} et des {p} pour {n}
        personne ne comprit pourquoi {n} {v} les {p} {t}
        ni {n} ni {n} ne vit les {p} auparavant"""
    ),
)

SPANISH = Language(
    nouns=_lines(
        """la ciudad; el pueblo; el maestro; el río; la biblioteca; el motor; el jardín; el mercado; el puente
        el médico; el pintor; el bosque; la cocina; el consejo; la linterna; la montaña; el panadero
        el campesino; el museo; la isla; la vecina; la cosecha; el capitán; el teatro; el valle; el periódico
        la fábrica; la fiesta; el pescador; la familia; el viajero; la máquina; el castillo; la tormenta
        el canal; la carta"""
    ),
    plurals=_lines(
        """manzanas; mapas; ventanas; canciones; barcos; piedras; cartas; herramientas; relojes; velas
        caballos; botellas; caminos; monedas; cestas; preguntas; respuestas; alfombras; pájaros; sillas
        dibujos; historias; plumas; guantes; martillos; llaves; escaleras; espejos; cuerdas; conchas
        libros"""
    ),
    verbs=tuple(
        """reparó describió siguió visitó midió pintó llevó descubrió recogió limpió explicó entregó copió
        recibió protegió contó recordó dibujó examinó plantó ordenó abrió cerró restauró comparó sorprendió
        mejoró observó apoyó cruzó tradujo""".split()
    ),
    adjectives=tuple(
        """grande importante amable útil simple frágil fuerte triste alegre verde enorme humilde valiente
        brillante diferente reciente posible terrible agradable visible""".split()
    ),
    adverbs=tuple(
        "lentamente siempre rápido despacio juntos pronto finalmente casi también entonces".split()
    ),
    places=_lines(
        """cerca del viejo molino; detrás de la estación; al otro lado de la colina; en la plaza
        junto al lago; a lo largo de la costa; bajo el arco de piedra; en el primer piso
        entre dos ríos; en el norte del país; al lado del correo; en medio del camino"""
    ),
    times=_lines(
        """por la mañana temprano; después del largo invierno; antes del anochecer; durante las vacaciones
        en el siglo pasado; al final de la semana; cada dos años; poco después del mediodía; en otoño
        hace algunos años; a la tarde siguiente; en aquellos días"""
    ),
    patterns=_lines(
        """{t} , {n} {v} {n} {l}
        {n} {d} {v} las {p} que nadie había visto {l}
        {n} era {a} y {a} , pero nadie lo sabía
        se dice que {n} {t} {v} {n} con {p} y {p}
        cuando {n} era {a} , {n} {v} muchas {p} {l}
        aunque {n} parecía {a} , había {p} {d} {l}
        nadie entendió por qué {n} {v} tantas {p} {t}
        ni {n} ni {n} vieron {p} antes
        {l} había {p} y {p} para {n}"""
    ),
)

LANGUAGES = {"en": ENGLISH, "de": GERMAN, "fr": FRENCH, "es": SPANISH}
