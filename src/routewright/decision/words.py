"""The words by which a kind of work is recognised, in fifteen languages. Data; `classifier.py` weighs them.

Languages written with spaces and Latin letters are looked up word by word, inflected forms written out: one dictionary
lookup per word, whatever the size of the lists. The others are searched for stems, only those of their own script and
only at the edges of a task. A big regular expression would be shorter and ten times slower.
"""

import unicodedata
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import NamedTuple

from routewright.decision.features import Script


class Family(IntEnum):
    """What a word is evidence of."""

    STRUCTURED = 0
    """The answer's form is the work: fields, labels, tables."""
    REASONING = 1
    """Thinking is the work: design, proof, diagnosis, trade-offs."""
    ROUTINE = 2
    """The answer follows from the input: translate, rename, format, document."""
    PLAIN = 3
    """Ordinary help and conversation."""
    CHORE = 4
    """Routine if tools are at hand, nothing in particular otherwise: run, list, show."""
    TECHNICAL = 5
    """What a hard question may be about: deployments, threads, contracts. Makes nothing hard by itself."""


class Phrase(NamedTuple):
    """Words that mean something together."""

    text: str
    """With a blank before and after."""
    family: Family
    weight: int


class Entry(NamedTuple):
    """What one word says."""

    family: Family
    leading: int
    """Weight as the first word, where a command is sure to be one."""
    at_edge: int
    """Weight where commands stand: among a task's first or last words."""
    inside: int
    """Weight anywhere else."""
    phrases: Mapping[str, tuple[Phrase, ...]] = {}
    """Those that hang on this word, their longest, by the next longest, without which none of them can be there."""


class Stem(NamedTuple):
    """The beginning of a word, or any characters of a script without blanks."""

    text: str
    family: Family
    weight: int


S, R, B, P, C, T = Family


def _split(text: str) -> list[str]:
    return text.split()


PRELUDE = frozenset(
    _split(
        """
        hi hello hey please kindly ok okay so and also now then thanks can could would will you i we want need like d to
        help me us let s just quickly your task is bitte kannst könntest du mir por favor puedes podrías pourriez vous
        pouvez peux tu você pode puoi proszę
        """
    )
)
"""What may stand before the command in a polite request."""

ASKING_ABOUT = frozenset(
    _split(
        """
        how what whats which who whose when where explain describe define is are does do
        wie was wer welche welcher welches wo wann erkläre erklär
        comment quel quelle quels quelles qui où quand explique expliquez
        cómo qué cuál cuáles quién dónde cuándo explica explícame
        como qual quais quem onde quando
        come cosa quale quali chi dove spiega spiegami
        hoe wat welke waar wanneer
        jak co czym kto który która gdzie kiedy wyjaśnij
        nasıl nedir kim hangi nerede açıkla
        """
    )
)
"""First words of a question *about* something: the commands that follow are its topic, "how do I rename a branch"."""

TRANSFORMED_CODE = frozenset(_split("method function class component module interface hook trait"))
"""With these, "extract" and "convert" mean programming, not a list of fields or another format."""

PROGRAMS = frozenset(
    _split("function script program class component parser app page endpoint library tool bot cli regex")
)
"""Who is to write one of these is not asked to give the answer the form that it will handle."""

PORTED = frozenset(_split("convert rewrite transform port converting rewriting turn"))
"""What is routine with data and text, and programming with code."""

GIVEN = frozenset(
    _split(
        """
        this these those following all each every below above
        ce cet cette ces este esta estos estas diese diesen dieses dieser dit deze questo questa questi queste essa esse
        ten tę te tego bu şu
        """
    )
)
"""Near the command, these say that its object comes with the request, as it does when it is only to be changed."""

NARRATIVE = frozenset(
    _split("our we after since when whenever two unser unsere nuestro nuestra notre nos nosso nossa onze nasz")
)
"""A technical request that starts like a story describes a problem."""

_COMMANDS: tuple[tuple[Family, int, str], ...] = (
    (
        S,
        3,
        """
        extract extracting classify classifying categorize categorise categorizing tabulate
        extrahiere extrahieren extrahier klassifiziere klassifizieren kategorisiere kategorisieren extrais extraire
        extrayez classifie classifiez catégorise catégorisez catégoriser extrae extraer extraiga extráeme clasifica
        clasificar clasifique categoriza categorizar extraia extrair extrai classifique classificar estrai estrarre
        estrarne estraete classifica classificare categorizza extraheer extraheren classificeer classificeren
        categoriseer categoriseren wyodrębnij wyodrębnić wyekstrahuj sklasyfikuj sklasyfikować zaklasyfikuj
        skategoryzuj sınıflandır sınıflandırın sınıflandırınız kategorize
        """,
    ),
    (
        S,
        2,
        """
        parse parsing populate itemize ordne classe classez classer wyciągnij wyciągnąć ayıkla çıkar çıkart çıkarın
        ayır
        """,
    ),
    (
        R,
        3,
        """
        design designing redesign architect rearchitect prove proving disprove derive debug debugging diagnose
        diagnosing troubleshoot investigate investigating formalize entwirf entwerfe entwerfen konzipiere konzipieren
        beweise beweisen widerlege debugge debuggen diagnostiziere conçois concevez concevoir prouve prouvez prouver
        démontre démontrez démontrer débogue déboguez déboguer diagnostique diagnostiquer diagnostiquez diseña
        diseñar diseñe diséñame demuestra demostrar demuestre depura depurar depure diagnostica diagnosticar projete
        projetar provar demonstre demonstrar progetta progettare progettate dimostra dimostrare dimostrate ontwerp
        ontwerpen bewijs bewijzen diagnosticeer zaprojektuj zaprojektować udowodnij udowodnić wykaż zdebuguj debuguj
        zdiagnozuj tasarla tasarlayın tasarlar kanıtla kanıtlayın ispatla ispatlayın debunk falsify
        """,
    ),
    (
        R,
        2,
        """
        analyze analyse analyzing analysing evaluate critique optimize optimise optimizing refactor migrate assess
        audit devise weigh reconcile justify synthesize forecast decompose hypothesize strategize determine deduce
        parallelize orchestrate analysiere analysieren bewerte bewerten optimiere optimieren untersuche untersuchen
        beurteile löse begründe analysez analyser évalue évaluez évaluer optimisez optimiser résous résolvez résoudre
        justifie justifiez analiza analizar analice evalúa evaluar evalúe optimiza optimizar optimice resuelve
        resolver resuelva investiga investigar justifica analise analisar avalie avaliar otimize otimizar resolva
        investigue justifique analizza analizzare valuta valutare ottimizza ottimizzare risolvi risolvere indaga
        analyseer analyseren evalueer optimaliseer optimaliseren onderzoek beoordeel przeanalizuj przeanalizować oceń
        zoptymalizuj zoptymalizować zbadaj rozwiąż uzasadnij analiz incele değerlendir çöz araştır scale harden
        isolate reason quantify
        """,
    ),
    (
        R,
        1,
        """
        compare plan estimate review choose decide verify solve fix research develop formulate resolve vergleiche
        vergleichen plane comparez comparer compara comparar confronta vergelijk porównaj karşılaştır
        """,
    ),
    (
        B,
        3,
        """
        rename renaming reformat translate translating transcribe proofread paraphrase rephrase reword summarize
        summarise summarizing summarising dedupe deduplicate alphabetize alphabetise capitalize capitalise lowercase
        uppercase lint scaffold prettify beautify minify anonymize anonymise redact transliterate spellcheck
        autoformat condense renumber pluralize übersetze übersetzen übersetz übersetzt zusammenfassen benenne
        umbenennen formatiere formatieren umformulieren traduis traduisez traduire résume résumez résumer renomme
        renommez renommer reformule reformulez reformuler traduce traducir traduzca tradúceme resumir resúmeme
        renombra renombrar formatea formatear parafrasea traduza traduzir traduz resuma renomeie renomear parafraseie
        formatar traduci tradurre traducete riassumi riassumere rinomina rinominare formatta vertaal vertalen
        samenvatten hernoem hernoemen formatteer przetłumacz przetłumaczyć przetlumacz tłumacz streść streścić
        podsumuj podsumować sformatuj sparafrazuj çevir çevirin çevirir çeviri tercüme özetle özetleyin özetler
        biçimlendir
        """,
    ),
    (
        B,
        2,
        """
        convert converting documenting sort normalize normalise replace bump strip trim reorder polish indent shorten
        tidy standardize standardise rewrite transform correct annotate append clean remove regenerate recap
        korrigiere korrigieren dokumentiere dokumentieren kommentiere konvertiere konvertieren umwandeln wandle
        sortiere sortieren ersetze kürze formuliere convertis convertissez convertir corrige corrigez corriger trie
        triez documente documentez commente formate formatez remplace remplacez raccourcis corregir convierte
        reescribe reescribir ordena reemplaza documenta comenta corrija corrigir converta converter reescreva ordene
        substitua correggi correggere converti convertire riscrivi ordina sostituisci corrigeer herschrijf converteer
        converteren sorteer vervang popraw posortuj przekonwertuj zamień przepisz skróć düzelt düzeltin dönüştür
        sırala kısalt
        """,
    ),
    (
        P,
        2,
        """
        explain describe suggest brainstorm implement erkläre erklär erklären empfiehl explique expliquez expliquer
        recommande explica explícame recomienda spiega spiegami consiglia wyjaśnij poleć açıkla öner
        """,
    ),
    (
        P,
        1,
        """
        tell help chat discuss code schreibe schreib verfasse hilf écris écrivez rédige aide escribe redacta ayúdame
        escreva redija ajude scrivi aiutami schrijf napisz pomóż yaz
        """,
    ),
    (
        C,
        3,
        """
        run rerun list show open read print display commit push stage checkout install uninstall delete move copy
        grep search count cat fetch download touch mkdir ls
        """,
    ),
    (
        C,
        2,
        """
        set switch find check look execute start stop restart
        """,
    ),
)
"""Family, weight and verbs. A verb counts one more as the first word, and two less inside a text, where it is mostly
not a command."""

_IMPERATIVES: tuple[tuple[Family, int, str], ...] = (
    (
        S,
        3,
        """
        label tag rate assign map match
        """,
    ),
    (
        S,
        2,
        """
        identify detect
        """,
    ),
    (
        R,
        3,
        """
        argue trace model
        """,
    ),
    (
        B,
        3,
        """
        document comment format punctuate caption
        """,
    ),
    (
        B,
        2,
        """
        expand put turn arrange merge split join concatenate group swap round mask pad truncate escape encode decode
        simplify align wrap rearrange filter flatten shuffle pluralise harmonize reverse invert localize enumerate
        repeat copyedit transforme transformez trasforma usuń complète completa supprime elimina ersetz entferne
        streiche sil yap remova apply
        """,
    ),
    (
        B,
        1,
        """
        update adjust edit change fill insert mets mettez pasa passe metti zet maak zmień dodaj ändere mach bringe
        setze ekle agrega añade ajoute aggiungi voeg füge adicione
        """,
    ),
    (
        P,
        2,
        """
        write draft compose imagine pretend act craft
        """,
    ),
    (
        P,
        1,
        """
        give build create add answer generate produce provide share make
        """,
    ),
)
"""Family, weight and verbs that are as often nouns, or say little about the work: they count as the first word only."""

_SUBJECTS: tuple[tuple[Family, int, str], ...] = (
    (
        S,
        3,
        """
        json jsonl ndjson csv tsv ner sentiment sentimento sentimiento stimmung tonalité
        """,
    ),
    (
        S,
        2,
        """
        yaml xml entities labels categories category taxonomy intent enum columns fields toxicity tabelle kategorien
        catégories categorías categorias categorie categorieën kategorie kategorii boolean spans bool field csvs
        """,
    ),
    (
        S,
        1,
        """
        keys tabular table null invoice receipt spam strictly tableau tabla tabela tabella felder champs campos campi
        velden pola priority offsets columnas colonnes spalten colunas colonne kolumny sütun
        """,
    ),
    (
        R,
        3,
        """
        architecture architectural tradeoff tradeoffs deadlock deadlocks deadlocking deadlocked livelock segfault
        segfaults heisenbug nondeterministic linearizable linearizability paxos theorem lemma proof proofs conjecture
        counterexample invariant invariants counterfactual cqrs backpressure bijection homomorphism eigenvalues
        architektur abwägung zielkonflikte arquitectura arquitetura architettura architectuur architektura
        architekturę mimari mimarisi mimarisini teorema théorème twierdzenie teoremi dimostrazione beweis dowód ispat
        """,
    ),
    (
        R,
        2,
        """
        demostración demonstração concurrency concurrent distributed consensus raft sharding leaking intermittent
        intermittently flaky postmortem outage bottleneck bottlenecks scalability scalable idempotent idempotency
        eventual asymptotic bayesian differential integral manifold topology vulnerability vulnerabilities
        cryptographic microservice microservices monolith multitenant failover replication quorum rebalancing causal
        causality confounders hypotheses hypothesis mutex mutexes semaphore axiom optimality converge convergence
        posterior likelihood equilibrium reasoning probability probabilities occasionally sporadic sporadically hang
        hangs hanging freezes considerations strategy strategies milestones valuation resilient resilience slo sla
        crdt serializable abstractions profiling simd cuda vectorize maximize minimize polynomial approximation
        converges differentiable isomorphic modulo statistically puzzle npv regulatory gdpr liability precedent
        contraindications mitigate swot incentives counterarguments methodology catastrophic backtracking overtaken
        interpretations ambiguity refute paradox dilemma clue clues ellipse hyperbola inscribed bisector permutations
        bug bugs traceback rigorous rigorously cohesive mitigations mitigation contention locking strategic roadmap
        nonlinear inequality irrational recurrence optimal feasibility implications stochastic saga partitions
        partitioning starvation skalierbar skalierbare skalierbares skalierbaren verteilte verteiltes verteilten
        verteilter kompromisse distribué distribuée distribués distribuido distribuida distribuidos distribuído
        distribuída distribuito distribuita gedistribueerd gedistribueerde rozproszony rozproszonego rozproszoną
        dağıtık compromis escalable escalável scalabile schaalbare schaalbaar skalowalny skalowalną ölçeklenebilir
        verklemmung wycieki variance volatile downtime nondeterminism guilty flaw fallacy dispute liable majeure
        cohérence kohärenz consistencia consistência consistenza spójność panne ausfall fallo falhas discriminate
        iteratively derivative antiderivative bounds failure failures saturation skew deduplication ordering
        atomicity atomic durability isolation serializability gegenbeispiel contraejemplo kontrpprzykład overselling
        interleaving heuristics hypothesise confounded causation correlation regularization convex optimum orthogonal
        eigenvector topological combinatorial asymptotically amortized undecidable decidable soundness completeness
        semantics monads refactoring retrofit decoupling coupling cohesion extensibility observability provisioning
        autoscaling overprovisioned interoperability interplay geopolitical macroeconomic epistemology utilitarian
        deontological kant ethics jurisdiction arbitration antitrust fiduciary pathophysiology pharmacokinetics
        comorbidities prognosis etiology leakage exfiltration ransomware phishing hardening csrf xss ssrf rce
        injection zurückverfolgen absturz abstürze zuverlässig zuverlässigkeit fiabilité fiabilidad confiabilidade
        affidabilità niezawodność
        """,
    ),
    (
        R,
        1,
        """
        leaks correctness inconsistent rationale stuck slow slows slower unexpected randomly reproduce twice
        explanation incorrect conflict conflicts digits remainder divisible roots coefficients factorial
        perpendicular tangent vertices cosine logarithm geometric calculate expected continuous prime primes
        significance stakeholders compliance risk risks criteria linear bound loss consequences algoritmo algorithme
        algorithmus incorrecto why error errors causes cause assumptions equation equations solutions rollout
        statistical comprehensive argument integers crash crashes crashing corrupt corrupted fails failing exception
        complexity security constraints incident race oom nan leak invariably sometimes unexpectedly warum weshalb
        fehler ursache strategie pourquoi erreur stratégie estrategia estratégia perché strategia waarom oorzaak
        dlaczego strategię neden niçin strateji considering alternatives approach approaches drawbacks limitations
        dependencies dependency propose prevent prevents prevention safely guarantee guarantees robust reliable
        reliably impacts interpret implies imply assume assuming correctly unclear mystery strange weird degrade
        degrades degraded spikes spike doubles doubled grows growing equivalent formulation garantir garantizar
        garantire gewährleisten verhindern éviter evitar unikać önlemek availability levers obfuscated
        """,
    ),
    (
        B,
        3,
        """
        documentation dokumentation documentación documentação summaries bulleted pojo pojos setter getter testdaten
        stub stubs docstring docstrings jsdoc javadoc boilerplate typo typos linter linting eslint prettier gofmt
        flake8 changelog snake_case camelcase getters setters gitignore grammar spelling translation translations
        typehints rechtschreibung tippfehler zusammenfassung orthographe coquilles ortografía erratas ortografia
        refusi spelfouten typefouten samenvatting literówki ortografię pisownię yazım imla indentation abbreviations
        readme dockerfile
        """,
    ),
    (
        B,
        2,
        """
        transcript takeaways hashtags subtitles slugs makefile tsconfig editorconfig swagger dto dtos tostring
        copyright lorem whitespace comments punctuation summary crud placeholder fixtures formatting skeleton
        captions tone semicolons semicolon headings boilerplates capitalization tldr grammatik kommentare grammaire
        fautes commentaires traduction gramática comentarios traducción comentários tradução resumo resumen riassunto
        résumé commenti grammatica traduzione vertaling gramatykę komentarze streszczenie podsumowanie tłumaczenie
        dilbilgisi özetini özeti variations alphabetical alphabetically headline headlines commas einrückung
        alphabetisch docs javadocs phpdoc godoc rustdoc xmldoc
        """,
    ),
    (
        B,
        1,
        """
        imports trailing unused bullet bullets records rows each every bulk batch sentence sentences paragraph
        snippet lines occurrences tabs spaces units emoji keywords placeholders mocks constructor missing throughout
        consistently consistent abc british american
        """,
    ),
    (
        P,
        2,
        """
        poem haiku joke story recipe lyrics song gift itinerary letter essay slogan hello hi hey thanks birthday
        vacation dinner advice gedicht geschichte witz rezept hallo poème histoire blague recette bonjour poema
        historia chiste receta hola receita olá poesia storia ricetta ciao verhaal recept wiersz opowiadanie cześć
        şiir hikaye merhaba tagline taglines workout gym hobby hobbies wedding party movie film movies songs
        restaurant playlist outfit wardrobe
        """,
    ),
    (
        P,
        1,
        """
        email emails blog ideas opinion example examples function script component app page website difference
        unterschied différence diferencia diferença differenza verschil różnica fark game friend friends mother
        father mom dad kids wife husband boss neighbor name names refund voucher regex sum column excel spreadsheet
        """,
    ),
    (
        T,
        1,
        """
        service services server servers database databases postgres postgresql mysql mongodb redis kafka rabbitmq
        queue queues broker brokers cluster clusters node nodes pod pods container containers docker kubernetes k8s
        nginx deploy deploys deployment deployments ci pipeline pipelines etl cron worker workers thread threads
        goroutine goroutines async coroutine coroutines lock locks transaction transactions index indexes indices
        query queries schema migration migrations cache caches caching cdn api apis endpoint endpoints websocket
        websockets grpc http tcp tls dns proxy gateway replica replicas region regions backup backups kernel memory
        heap allocator gc cpu gpu disk throughput latency p99 p95 timeout timeouts retry retries traffic logs metrics
        tracing prod production staging rollback compiler runtime bytecode pointer pointers recursion iterative
        algorithm algorithms tree graph matrix vector tensor gradient dropout overfits overfitting epochs training
        transformer embedding embeddings dataset regression bf16 oauth jwt auth encryption tenant tenants iam
        permissions clause clauses contract contracts supplier law tax symptoms patient dosage churn competitor
        competitors margin runway revenue cohort backend frontend monorepo module modules scheduler upgrade upgrading
        sensors consumers consumer producers partition wal vacuum checksum checkpoint socket sockets packets firmware
        speicher mémoire memoria datenbank dienst dienste bases serveur servidor servidores sunucu baza events
        ereignisse waker counter renders rerender renderer profiler microservicio hook hooks
        """,
    ),
)
"""Family, weight and nouns, which weigh the same anywhere."""

_PHRASES: tuple[tuple[Family, int, str], ...] = (
    (
        S,
        3,
        """
        as json | in json | to json | into json | valid json | json object | json array | json format | json only |
        only json | return json | output json | raw json | json with | json list | as csv | to csv | into csv |
        in csv | csv with | csv format | csv file with | as yaml | to yaml | into yaml | in yaml | valid yaml |
        as xml | to xml | into xml | markdown table | as a table | into a table | table with columns | a table with |
        return only | output only | only return | only output | respond only with | respond with only |
        reply with only | reply only | answer only | only the label | just the label | label only | with the fields |
        with fields | with keys | with the keys | with these fields | following fields | following schema |
        this schema | the schema below | matching the schema | conforming to | into one of |
        one of these categories | following categories | no prose | no explanation | nothing else | no other text |
        key value pairs | true or false | yes or no | named entities | as tsv | comma separated | one word only |
        one word answer | exactly one of | return just | just return | just the number | only the number |
        only answer with | answer with only | null for missing | which category | what category | choose from |
        pick from | do not explain | no explanations | without explanation | exactly this format |
        positive or negative | positive negative | positiv neutral | positiv negativ | positivo negativo |
        positif négatif | positivo neutro | respond true | json please | one json | csv mit | csv avec | csv con |
        csv com | csv columns | columns named | action items | line items | html table | gib eine tabelle |
        una tabla | una tabella | uma tabela | un tableau | iso format | as a json | a json object | a json string |
        a json dictionary | fill in this template | fill in the template | in the following format |
        following format | json lines | scale of 1 | these categories | assign each | iso codes | python list |
        python dict | in this format | no extra text | tableau json | array json | lista json | separated by commas |
        key value | without any explanation | no commentary | als json | im json format | json objekt | als csv |
        als tabelle | nur das label | gib nur | nur json | antworte nur mit | in eine der | en json |
        au format json | format json | objet json | en csv | au format csv | sous forme de tableau | uniquement le |
        réponds uniquement | en formato json | formato json | objeto json | en formato csv | en una tabla |
        solo la etiqueta | devuelve solo | responde solo | em json | em formato json | em csv | em formato csv |
        apenas o rótulo | retorne apenas | responda apenas | in formato json | oggetto json | in formato csv |
        solo l etichetta | rispondi solo | restituisci solo | in json formaat | json formaat | alleen het label |
        antwoord alleen | geef alleen | w formacie json | jako json | w formacie csv | jako csv | zwróć tylko |
        odpowiedz tylko | json olarak | json formatında | csv olarak | csv formatında | sadece etiketi |
        named entity | entity recognition | into fields | single json | output 1 or 0 | 1 or 0 | 0 or 1 |
        bounding boxes | json schema for | as json aus | json aus | uniquement par oui | par oui ou par non |
        oui ou non | ja oder nein | sí o no | sim ou não | sì o no | tak lub nie | evet veya hayır | table with the |
        in a table | with columns | into columns | please classify | respond with a single | output one |
        true or false only | exactly these keys | following keys | these keys | these fields | as a python list |
        as an array | as a list of json | array of objects | list of objects | csv output | json output |
        machine readable | strict json | well formed xml | in xml | key and value | list of strings |
        set the fields | tab separated | fill the fields | fill in these fields | fill this form | return yaml |
        return csv | return xml
        """,
    ),
    (
        S,
        -2,
        """
        this json | this csv | this yaml | this xml
        """,
    ),
    (
        R,
        3,
        """
        race condition | race conditions | data race | memory leak | memory leaks | root cause | trade off |
        trade offs | prove that | show that | prove or disprove | figure out why | find the bug | find out why |
        from first principles | system design | eventual consistency | strong consistency | threat model |
        zero downtime | capacity planning | lock free | wait free | use after free | undefined behavior |
        undefined behaviour | formal verification | isolation level | isolation levels | event sourcing |
        nash equilibrium | np hard | np complete | side channel | proof of | proof that | design doc |
        design document | architecture decision | core dump | heap dump | flame graph | blast radius |
        domain driven | schema evolution | memory model | cap theorem | vector clock | sensitivity analysis |
        cost benefit | due diligence | differential diagnosis | market entry | experimental design |
        systematic review | crash loop | polynomial time | exactly once semantics | wäge die | multi region |
        multi tenant | disaster recovery | fault tolerant | high availability | million users | pros and cons |
        bewerte die vor | vor und nachteile | grundlegende ursache | kök neden | avantages et inconvénients |
        cause racine | cause profonde | ventajas y desventajas | causa raíz | vantagens e desvantagens | causa raiz |
        vantaggi e svantaggi | pro e contro | causa principale | voor en nadelen | wady i zalety | zalety i wady |
        artıları ve eksileri | condition de concurrence | condición de carrera | fuga de memoria | fuite mémoire |
        vazamento de memória | wyciek pamięci | bellek sızıntısı | hata ayıkla | condizione di gara | wyścig wątków |
        exactly once | find the flaw | flaw in | find the error in this proof | differential diagnoses |
        how do i prove | make it scale | design a system | architecture for | race between | two threads |
        lost updates | read replicas | at least once delivery | error en esta demostración |
        erreur dans cette preuve | ein system entwerfen | system zu entwerfen | reverse engineer |
        reverse engineering
        """,
    ),
    (
        R,
        2,
        """
        step by step | think through | think carefully | worst case | how would you | what would happen | at scale |
        per second | under load | cannot reproduce | can t reproduce | second order | in depth | deep dive |
        edge cases | thread safe | stack trace | time complexity | cache invalidation | unit economics | query plan |
        only when | only under | only in production | after a while | how should | walk me through |
        most likely explanation | only in ci | but only | after upgrading | since upgrading | after the upgrade |
        nobody knows | narrow it down | wrong results | wrong result | off by one | stack traces | decision tree |
        technical strategy | technical debt | bounded context | bounded contexts | backward compatible | data model |
        permission model | state machine | upper bound | lower bound | logic puzzle | p value | confidence interval |
        research question | subject to | long term | second opinion | treatment plan | argue why | justify your |
        your reasoning | explain why | por qué este | por qué esta | pourquoi ce | pourquoi cette | warum dieser |
        warum dieses | perché questo | por que este | dlaczego ten | approximation ratio | likely causes |
        possible causes | failure modes | hidden assumptions | explain exactly | work out | weigh the options |
        explain the method | read committed | doing wrong | fix the bug | fix this bug | not working | doesn t work |
        does not work | how can this happen | how this can happen | god object | public api | options for |
        capacity plan | go to market | competitive landscape | literature review | build or buy | lost update |
        can go wrong | what am i missing | causes possibles | posibles causas | possíveis causas | possibili cause |
        game theory | closed form | expected value | load balancing | rate limiter | show your work |
        what went wrong | schritt für schritt | étape par étape | paso a paso | passo a passo | passo dopo passo |
        stap voor stap | krok po kroku | adım adım | zeige dass | montre que | montrez que | demuestra que |
        mostre que | pokaż że | mogelijke oorzaken | mögliche ursachen | legal risk | migration plan |
        migration strategy | rollout plan | how you would | what would you | how could we | what is going on |
        what s going on | could be causing | what is wrong | what s wrong | is going wrong | keeps failing |
        keep failing | stops working | stopped working | out of memory | only happens | happens only | on load |
        under which conditions | in order of | next steps | where should | which step | which of these approaches |
        best approach | best way to structure | without downtime | minute of downtime | data loss | split brain |
        single point of failure | back of the envelope | be specific about | force majeure | bears the |
        governed by | is it true that | find an equivalent | it is correct | failure handling | data flow |
        business rules | tell me why | and why | explain your | reason about | think about | think hard |
        from scratch and justify | wie würdest | wie würden | wie kann man verhindern | comment garantir |
        comment éviter | cómo evitar | cómo garantizar | como evitar | como garantir | come evitare |
        come garantire | hoe voorkom | jak uniknąć | jak zapobiec | nasıl önlerim | pas à pas | punto per punto |
        explain each step | each step | technical design | risks of each | without hurting | in which order |
        no repro
        """,
    ),
    (
        R,
        1,
        """
        how can we | how do we | most likely | what could | where is the | why does | why is | why are | why do |
        why would | why did | por qué | per quale motivo | how does this | and what | which one | what if
        """,
    ),
    (
        B,
        3,
        """
        commit message | commit messages | type hints | type annotations | license header | unused imports |
        release notes | alt text | bullet points | fasse zusammen | fassen sie | zusammen fasse | fix grammar |
        mock data | dummy data | sample data | test data | clean up the formatting | snake case | camel case |
        kebab case | title case | sentence case | resume el | resume este | resume esta | resume los | resume las |
        resume lo | vat samen | zmień nazwę | zmien nazwe | yeniden adlandır | fasse den | fasse die | fasse das |
        fasse diesen | fasse dieses | benenne um | vat deze | vat dit | vat de | correct the grammar | api docs |
        spell check | lorem ipsum | html tags | line breaks | trailing commas | trailing whitespace | help text |
        past tense | present tense | active voice | passive voice | british english | american english |
        date format | placeholder text | one sentence summary | key points | main points | meeting notes |
        inline comments | write comments | add a comment | header comments | agrega comentarios | añade comentarios |
        adicione comentários | ajoute des commentaires | kommentare hinzu | aggiungi commenti | dodaj komentarze |
        voeg commentaar | datos de prueba | dados de teste | données de test | dati di test | dane testowe |
        equals and hashcode | data classes | to celsius | to fahrenheit | to iso | code comments | test stubs |
        black style | tl dr | make it shorter | make this shorter | sound more | pretty print | subject lines |
        copyright year | add comments | comment this | stub implementation | missing translations | openapi docs |
        fix indentation | product descriptions | meta descriptions | faltas de ortografía | erros de digitação |
        alphabetical order | in alphabetical | add missing | kommentare zu | past participle | plural form |
        html to markdown | markdown to html | to html | to markdown | british spelling | american spelling |
        fix the formatting | fix formatting | fix the indentation | fix the spelling | fix spelling |
        fix the grammar | correct the spelling | correct spelling | en orden alfabético | ordre alphabétique |
        ordem alfabética | ordine alfabetico | insert statements | pep 8 | type annotation | coding style |
        code style | logging statements | log statements
        """,
    ),
    (
        B,
        2,
        """
        for each | each of the following | every row | all rows | each row | each line | every line | every file |
        all files | one per line | line by line | hello world | in one sentence | in a sentence | in three bullets |
        to english | to spanish | to french | to german | to italian | to japanese | to chinese | into english |
        into spanish | into french | into german | to uppercase | to lowercase | ins deutsche | ins englische |
        en anglais | al inglés | para inglês | in inglese | naar het engels | na angielski | au passé | au présent |
        en pasado | ins präteritum | im präsens | al passato | variations of | versions of this | into fahrenheit |
        into celsius | to lower case | to upper case | into lowercase | all caps
        """,
    ),
    (
        P,
        2,
        """
        how do i | how can i | how to | what is | what are | what s the | can you explain | tell me |
        difference between | write a function | write an email | help me write | cover letter | give me ideas |
        wie kann ich | was ist | qu est ce | cómo puedo | qué es | como posso | o que é | come posso | cos è |
        hoe kan ik | wat is | jak mogę | co to | leg uit | write a python | write a script | python function |
        javascript function
        """,
    ),
)
"""Family, weight and phrases of two words or more, in the form in which `features` leaves a text. A negative weight
takes back what a word alone said: "this json" is there, and not asked for."""

_STEMS: Mapping[Script, tuple[tuple[Family, int, str], ...]] = {
    Script.CYRILLIC: (
        (
            S,
            3,
            """
            извлек | извлеч | классифицир | категоризир | витягни | класифікуй | в формате json | в json |
            в виде json | в csv | в формате csv | только метк | верни только | выведи только | ответь только |
            отвечай только | у форматі json
            """,
        ),
        (
            S,
            2,
            """
            в виде таблиц | одним словом | категори | тональност | таблиц
            """,
        ),
        (
            R,
            3,
            """
            спроектир | архитектур | докаж | доказат | доказательств | отлад | состояни гонки | состояние гонки |
            дедлок | взаимн | утечк памяти | утечка памяти | утечку памяти | первопричин | теорем | диагностир |
            доведи що | спроєктуй | архітектур
            """,
        ),
        (
            R,
            2,
            """
            проанализир | оптимизир | компромисс | пошагово | шаг за шагом | распределенн | распределённ |
            масштабир | исследуй | за и против | отказоустойчив | реши | обоснуй | плюсы и минусы | преимуществ |
            проаналізуй | разбери почему | причин | стратеги | вероятност | алгоритм | зависает | как гарантировать |
            как избежать | как спроектировать | уязвимост
            """,
        ),
        (
            R,
            1,
            """
            почему | сравни | оцени | падает | утечк
            """,
        ),
        (
            B,
            3,
            """
            перевед | перевест | переклад | переименуй | переименов | резюмир | кратко излож | краткое содержан |
            суммаризир | исправь опечатк | опечатк | орфограф | отформатир | докстринг | добавь комментар |
            перефразир | исправь ошибки в тексте
            """,
        ),
        (
            B,
            2,
            """
            преобразуй | конвертир | документац | отсортир | замени | сократи | перепиши | исправь | резюме |
            краткое | исправ | коротко | по алфавиту
            """,
        ),
        (
            P,
            2,
            """
            объясни | что такое | расскажи | стих | рецепт | посоветуй | привет | поясни | подскажи |
            как приготовить
            """,
        ),
        (
            P,
            1,
            """
            напиши | письмо | помоги | как мне
            """,
        ),
    ),
    Script.HAN: (
        (
            S,
            3,
            """
            提取 | 抽取 | 擷取 | 归类 | 歸類 | 抽出 | 以json | json格式 | json形式 | jsonで | jsonと | 输出json |
            返回json | json输出 | json数组 | csv格式 | csv形式 | csvで | 表形式 | 只返回 | 只输出 | 仅返回 | 仅输出 |
            只回复 | だけを返 | だけ返 | だけを出力 | のみ出力 | のみを返 | ラベルだけ | のいずれかに分類 | 分类为 |
            归为 | 只需输出 | 成表格 | 列名为
            """,
        ),
        (
            S,
            2,
            """
            json | csv | 情感 | 解析为 | 正面 | ポジティブ | 分类 | 分類 | 表格 | 标签 | 標籤 | ラベル | 字段 |
            欄位 | 只回答 | カテゴリ
            """,
        ),
        (
            R,
            3,
            """
            设计 | 設計 | 架构 | 架構 | アーキテクチャ | 证明 | 證明 | 証明 | 调试 | 調試 | デバッグ | 死锁 | 死鎖 |
            デッドロック | 竞态 | 競合状態 | 内存泄漏 | メモリリーク | 权衡 | 權衡 | トレードオフ | 利弊 | 根本原因 |
            推导 | 推導 | 导出 | 排查 | 诊断 | 診斷 | 診断 | 定理 | deadlock
            """,
        ),
        (
            R,
            2,
            """
            分析 | 优化 | 優化 | 最適化 | 分布式 | 分散システム | 分散式 | 可扩展 | スケーラブル | 一步一步 | 逐步 |
            ステップバイステップ | 求解 | 优缺点 | 優缺點 | 一致性 | 策略 | 戦略 | 概率 | 確率 | 算法 |
            アルゴリズム | 比较 | 比較 | 高可用 | 并发 | 並行処理 | メリットとデメリット | 長所と短所 | 瓶颈 | 瓶頸 |
            ボトルネック | 漏洞 | 脆弱性 | 推理 | 原因を | 如何设计 | 百万 | 为何 | 大規模 | 同時実行 | 設計し
            """,
        ),
        (
            R,
            1,
            """
            为什么 | 為什麼 | なぜ | 评估 | 評価 | 原因 | 选择哪
            """,
        ),
        (
            B,
            3,
            """
            翻译 | 翻譯 | 翻訳 | 总结 | 總結 | 摘要 | 概括 | 要約 | 重命名 | リネーム | 名前を変更 | 格式化 | 润色 |
            潤色 | 校对 | 校對 | 校正 | 错别字 | 语法错误 | 誤字 | 文法を | コメントを追加 | コメントを付 |
            docstring | 文档字符串 | 言い換え | 样板 | ボイラープレート | 脱敏 | 译成 | 譯成 | 加上注释 | 添加注释 |
            加注释 | 批注 | 改写 | 改寫 | 書き換え
            """,
        ),
        (
            B,
            2,
            """
            转换 | 轉換 | 変換 | 注释 | 註解 | まとめて | フォーマット | 整形 | 書き直 | 排序 | 替换 | 置換 |
            並べ替え | ドキュメント | 改名 | 改成 | 换成 | 生成测试数据 | 润饰
            """,
        ),
        (
            P,
            2,
            """
            是什么 | 什么是 | 教えて | 解释 | 解釋 | 説明して | 诗 | 故事 | 你好 | こんにちは | 推荐 | 推薦 |
            おすすめ | レシピ | 笑话 | 怎么样
            """,
        ),
        (
            P,
            1,
            """
            写一 | 邮件 | メール | 怎么 | 如何 | 建议 | とは | 介绍
            """,
        ),
    ),
    Script.HANGUL: (
        (
            S,
            3,
            """
            추출 | 분류 | json으로 | json 형식 | json 형태 | json만 | csv로 | csv 형식 | 만 출력 | 만 반환 | 만 답 |
            만 응답
            """,
        ),
        (
            S,
            2,
            """
            json | 표로 | 라벨 | 레이블 | 카테고리 | 표 형식
            """,
        ),
        (
            R,
            3,
            """
            설계 | 아키텍처 | 증명 | 디버그 | 디버깅 | 교착 | 데드락 | 경쟁 상태 | 경합 조건 | 메모리 누수 |
            트레이드오프 | 근본 원인 | 진단
            """,
        ),
        (
            R,
            2,
            """
            분석 | 최적화 | 장단점 | 단계별 | 분산 시스템 | 추론 | 동시성 | 병목 | 확장 가능 | 원인을 | 어떻게 설계 |
            왜 발생 | 보장하려면 | 취약점
            """,
        ),
        (
            R,
            1,
            """
            왜 | 원인 | 비교 | 평가
            """,
        ),
        (
            B,
            3,
            """
            번역 | 요약 | 이름을 변경 | 이름을 바꿔 | 이름 변경 | 맞춤법 | 오타 | 교정 | 주석 | 독스트링 |
            docstring | 보일러플레이트 | 포맷팅
            """,
        ),
        (
            B,
            2,
            """
            변환 | 문서화 | 정렬 | 다시 써 | 다듬어 | 포맷 | 바꿔 써 | 로 바꿔 | 추가해 | 고쳐
            """,
        ),
        (
            P,
            2,
            """
            설명 | 추천 | 안녕 | 레시피 | 이란 | 뭐야 | 무엇인
            """,
        ),
        (
            P,
            1,
            """
            알려 | 써줘 | 작성해 | 이메일 | 이야기
            """,
        ),
    ),
    Script.DEVANAGARI: (
        (
            S,
            3,
            """
            निकाल | वर्गीकृत | वर्गीकरण | json में | json प्रारूप | json फ़ॉर्मेट | json के रूप | केवल लेबल |
            csv में | csv प्रारूप
            """,
        ),
        (
            S,
            2,
            """
            तालिका | श्रेणी | लेबल
            """,
        ),
        (
            R,
            3,
            """
            डिज़ाइन | डिजाइन | आर्किटेक्चर | सिद्ध | साबित | प्रमाण | डीबग | डिबग | डेडलॉक | मूल कारण | मेमोरी लीक |
            प्रमेय | ट्रेड ऑफ
            """,
        ),
        (
            R,
            2,
            """
            विश्लेषण | अनुकूलित | ऑप्टिमाइज़ | चरण दर चरण | फायदे और नुकसान | फ़ायदे और नुकसान | वितरित | स्केलेबल
            """,
        ),
        (
            R,
            1,
            """
            क्यों | तुलना | हल कर
            """,
        ),
        (
            B,
            3,
            """
            अनुवाद | सारांश | संक्षेप | नाम बदल | वर्तनी | docstring
            """,
        ),
        (
            B,
            2,
            """
            व्याकरण | टिप्पणि | परिवर्तित | फ़ॉर्मेट कर | फॉर्मेट कर | सुधार
            """,
        ),
        (
            P,
            2,
            """
            समझा | क्या है | क्या होता | कविता | कहानी | नमस्ते | सुझाव
            """,
        ),
        (
            P,
            1,
            """
            लिख | बता
            """,
        ),
    ),
    Script.ARABIC: (
        (
            S,
            3,
            """
            استخرج | استخراج | صنف | صنّف | بصيغة json | بتنسيق json | بصيغة csv | على شكل json | كـ json |
            التصنيف فقط | فقط التصنيف
            """,
        ),
        (
            S,
            2,
            """
            تصنيف | جدول | فئة | الفئات
            """,
        ),
        (
            R,
            3,
            """
            صمم | صمّم | تصميم | معمارية | أثبت | اثبت | برهن | إثبات | السبب الجذري | مقايضات | حالة سباق |
            حالة تسابق | تسرب الذاكرة | مبرهنة
            """,
        ),
        (
            R,
            2,
            """
            حلل | حلّل | تحليل | خطوة بخطوة | المزايا والعيوب | المفاضلة | موزع | قابل للتوسع | قابلة للتوسع | شخص |
            شخّص | تصحيح أخطاء | البنية
            """,
        ),
        (
            R,
            1,
            """
            لماذا | قارن | قيم
            """,
        ),
        (
            B,
            3,
            """
            ترجم | لخص | لخّص | تلخيص | أعد تسمية | إعادة تسمية | أعد صياغة | إملائية | الإملائية | docstring
            """,
        ),
        (
            B,
            2,
            """
            ملخص | نسق | نسّق | صحح | صحّح | حوّل | تعليقات | رتب | نحوية
            """,
        ),
        (
            P,
            2,
            """
            اشرح | ما هو | ما هي | قصيدة | قصة | مرحبا | اقترح | وصفة
            """,
        ),
        (
            P,
            1,
            """
            اكتب | ساعدني
            """,
        ),
    ),
}
"""Family, weight and stems, by script."""


def _build_lexicon() -> dict[str, Entry]:
    """All Latin-script words; a phrase hangs on its longest word."""
    lexicon: dict[str, Entry] = {}
    for family, weight, words in _COMMANDS:
        lexicon |= dict.fromkeys(words.split(), Entry(family, weight + 1, weight, max(weight - 2, 0)))
    for family, weight, words in _IMPERATIVES:
        lexicon |= dict.fromkeys(words.split(), Entry(family, weight, 0, 0))
    for family, weight, words in _SUBJECTS:
        lexicon |= dict.fromkeys(words.split(), Entry(family, weight, weight, weight))
    for family, weight, block in _PHRASES:
        for text in _between_bars(block):
            gate, other, *_ = sorted(text.split(), key=len, reverse=True)
            entry = lexicon.get(gate, Entry(family, 0, 0, 0))
            phrases = {**entry.phrases, other: (*entry.phrases.get(other, ()), Phrase(f" {text} ", family, weight))}
            lexicon[gate] = entry._replace(phrases=phrases)
    return lexicon


def _build_stems() -> dict[Script, dict[str, tuple[Stem, ...]]]:
    index: dict[Script, dict[str, tuple[Stem, ...]]] = {}
    for script, groups in _STEMS.items():
        by_character = index.setdefault(script, {})
        for family, weight, stems in groups:
            for text in _between_bars(stems):
                stem = Stem(unicodedata.normalize("NFC", text), family, weight)
                by_character[stem.text[0]] = (*by_character.get(stem.text[0], ()), stem)
    return index


def _between_bars(text: str) -> Iterator[str]:
    return (part.strip() for part in text.replace("\n", "|").split("|") if part.strip())


LEXICON: Mapping[str, Entry] = _build_lexicon()
"""Word → what it says."""

STEMS: Mapping[Script, Mapping[str, tuple[Stem, ...]]] = _build_stems()
"""Script → first character → the stems to look for in text of it."""
