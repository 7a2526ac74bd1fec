//! The texts, in English as they stand in the code, in German and in French. `{}` stands for something particular, in the
//! same order everywhere. Names of commands, capabilities and mailboxes stay.
//!
//! A text that is sent and not here fails a test beside `mod.rs`.

/// English, German, French; sorted by nothing, found by what is sent.
pub(super) const TEXTS: &[(&str, &str, &str)] = &[
    // What a person is most likely to see.
    (
        "this account may not be used any more",
        "dieses Konto darf nicht mehr benutzt werden",
        "ce compte ne peut plus être utilisé",
    ),
    (
        "wrong name or password",
        "Name oder Kennwort ist falsch",
        "nom ou mot de passe incorrect",
    ),
    (
        "wrong user name or password",
        "Name oder Kennwort ist falsch",
        "nom ou mot de passe incorrect",
    ),
    (
        "too many failed logins, try again in a minute",
        "zu viele Fehlversuche bei der Anmeldung, bitte in einer Minute noch einmal",
        "trop d'échecs de connexion, réessayez dans une minute",
    ),
    (
        "logins are not possible now",
        "Anmeldungen sind gerade nicht möglich",
        "les connexions sont impossibles pour le moment",
    ),
    (
        "the quota is used up",
        "der Speicherplatz ist aufgebraucht",
        "le quota est épuisé",
    ),
    (
        "a limit of the account is reached",
        "eine Grenze des Kontos ist erreicht",
        "une limite du compte est atteinte",
    ),
    (
        "busy, try again",
        "überlastet, bitte noch einmal",
        "occupé, réessayez",
    ),
    (
        "no space left, try again later",
        "kein Platz mehr, bitte später noch einmal",
        "plus d'espace libre, réessayez plus tard",
    ),
    (
        "try again later",
        "bitte später noch einmal",
        "réessayez plus tard",
    ),
    (
        "try again later (error {})",
        "bitte später noch einmal (Fehler {})",
        "réessayez plus tard (erreur {})",
    ),
    (
        "internal failure {}",
        "interner Fehler {}",
        "erreur interne {}",
    ),
    (
        "another session has this maildrop open",
        "eine andere Sitzung hat dieses Postfach geöffnet",
        "une autre session a ouvert cette boîte",
    ),
    (
        "too soon after your last login",
        "zu früh nach der letzten Anmeldung",
        "trop tôt après la dernière connexion",
    ),
    (
        "the stored message is damaged",
        "die gespeicherte Nachricht ist beschädigt",
        "le message enregistré est endommagé",
    ),
    ("not without TLS", "nicht ohne TLS", "pas sans TLS"),
    ("LOGIN needs TLS", "LOGIN braucht TLS", "LOGIN exige TLS"),
    (
        "That mechanism needs TLS",
        "dieses Verfahren braucht TLS",
        "ce mécanisme exige TLS",
    ),
    (
        "That mechanism is not offered",
        "dieses Verfahren wird nicht angeboten",
        "ce mécanisme n'est pas proposé",
    ),
    (
        "mechanism not offered",
        "dieses Verfahren wird nicht angeboten",
        "ce mécanisme n'est pas proposé",
    ),
    (
        "you have no right to do that",
        "dazu fehlt das Recht",
        "vous n'en avez pas le droit",
    ),
    (
        "your rights have changed",
        "Ihre Rechte haben sich geändert",
        "vos droits ont changé",
    ),
    (
        "no such mailbox",
        "dieses Postfach gibt es nicht",
        "cette boîte n'existe pas",
    ),
    (
        "no such mailbox, create it first",
        "dieses Postfach gibt es nicht, es muss erst angelegt werden",
        "cette boîte n'existe pas, créez-la d'abord",
    ),
    (
        "the mailbox exists already",
        "das Postfach gibt es schon",
        "la boîte existe déjà",
    ),
    (
        "that cannot be done with this mailbox",
        "das geht mit diesem Postfach nicht",
        "c'est impossible avec cette boîte",
    ),
    (
        "that is no filter for searches",
        "das ist kein Filter für Suchen",
        "ce n'est pas un filtre de recherche",
    ),
    (
        "that is not possible with this name or flag",
        "das geht mit diesem Namen oder dieser Markierung nicht",
        "c'est impossible avec ce nom ou ce drapeau",
    ),
    (
        "the mailbox is open for reading only",
        "das Postfach ist nur zum Lesen geöffnet",
        "la boîte est ouverte en lecture seule",
    ),
    (
        "some of these messages are gone",
        "einige dieser Nachrichten sind nicht mehr da",
        "certains de ces messages ont disparu",
    ),
    (
        "this search takes too long, narrow it",
        "diese Suche dauert zu lange, bitte einschränken",
        "cette recherche est trop longue, restreignez-la",
    ),
    (
        "too much mail is arriving, try again",
        "es kommt gerade zu viel Post an, bitte noch einmal",
        "trop de courrier arrive, réessayez",
    ),
    (
        "Out of memory",
        "kein Arbeitsspeicher mehr",
        "plus de mémoire",
    ),
    (
        "The message is too big",
        "die Nachricht ist zu groß",
        "le message est trop grand",
    ),
    (
        "the message would be too big",
        "die Nachricht würde zu groß",
        "le message serait trop grand",
    ),
    (
        "A message of no octets is not kept",
        "eine leere Nachricht wird nicht aufgehoben",
        "un message vide n'est pas conservé",
    ),
    (
        "The server shuts down",
        "der Server wird beendet",
        "le serveur s'arrête",
    ),
    (
        "server is stopping",
        "der Server wird beendet",
        "le serveur s'arrête",
    ),
    (
        "Silent for too long",
        "zu lange nichts gehört",
        "silence trop long",
    ),
    ("Goodbye", "auf Wiedersehen", "au revoir"),
    ("bye", "auf Wiedersehen", "au revoir"),
    ("welcome", "willkommen", "bienvenue"),
    // Languages.
    (
        "this is the language from here on",
        "ab hier auf Deutsch",
        "en français à partir d'ici",
    ),
    (
        "this language is not known here",
        "diese Sprache ist hier nicht bekannt",
        "cette langue n'est pas connue ici",
    ),
    ("the languages are", "die Sprachen sind", "les langues sont"),
    ("Other Users/", "Andere Benutzer/", "Autres utilisateurs/"),
    // POP3.
    (
        "{} messages ({} octets)",
        "{} Nachrichten ({} Oktette)",
        "{} messages ({} octets)",
    ),
    ("{} octets", "{} Oktette", "{} octets"),
    (
        "message {} deleted",
        "Nachricht {} gelöscht",
        "message {} supprimé",
    ),
    (
        "no such message",
        "diese Nachricht gibt es nicht",
        "ce message n'existe pas",
    ),
    (
        "message was removed meanwhile",
        "die Nachricht wurde inzwischen entfernt",
        "le message a été supprimé entre-temps",
    ),
    (
        "deleted messages were not removed",
        "gelöschte Nachrichten wurden nicht entfernt",
        "les messages supprimés n'ont pas été retirés",
    ),
    (
        "authentication aborted",
        "Anmeldung abgebrochen",
        "authentification abandonnée",
    ),
    ("not now", "jetzt nicht", "pas maintenant"),
    ("USER first", "zuerst USER", "USER d'abord"),
    ("unknown command", "unbekannter Befehl", "commande inconnue"),
    (
        "arguments not understood",
        "Argumente nicht verstanden",
        "arguments incompris",
    ),
    (
        "characters that no name and no password has",
        "Zeichen, die kein Name und kein Kennwort hat",
        "caractères interdits dans un nom ou un mot de passe",
    ),
    (
        "forbidden octets in the line",
        "unerlaubte Oktette in der Zeile",
        "octets interdits dans la ligne",
    ),
    ("line too long", "Zeile zu lang", "ligne trop longue"),
    (
        "TLS is not offered",
        "TLS wird nicht angeboten",
        "TLS n'est pas proposé",
    ),
    (
        "TLS is active already",
        "TLS ist schon aktiv",
        "TLS est déjà actif",
    ),
    (
        "STLS comes before UTF8",
        "STLS gehört vor UTF8",
        "STLS vient avant UTF8",
    ),
    (
        "commands behind STLS",
        "Befehle hinter STLS",
        "commandes après STLS",
    ),
    ("too many errors", "zu viele Fehler", "trop d'erreurs"),
    ("begin TLS", "jetzt TLS beginnen", "commencez TLS"),
    (
        "UTF-8 from here on",
        "ab hier in UTF-8",
        "en UTF-8 à partir d'ici",
    ),
    // What IMAP commands came to.
    (
        "begin TLS negotiation now",
        "jetzt TLS beginnen",
        "commencez TLS maintenant",
    ),
    (
        "CAPABILITY done",
        "CAPABILITY ausgeführt",
        "CAPABILITY effectué",
    ),
    ("ID done", "ID ausgeführt", "ID effectué"),
    ("ENABLE done", "ENABLE ausgeführt", "ENABLE effectué"),
    ("LOGOUT done", "LOGOUT ausgeführt", "LOGOUT effectué"),
    ("completed", "ausgeführt", "effectué"),
    (
        "DEFLATE from here on",
        "ab hier DEFLATE",
        "DEFLATE à partir d'ici",
    ),
    (
        "Compression is on",
        "die Kompression läuft schon",
        "la compression est déjà active",
    ),
    (
        "nobody is logged in",
        "niemand ist angemeldet",
        "personne n'est connecté",
    ),
    ("created", "angelegt", "créée"),
    ("deleted", "gelöscht", "supprimée"),
    ("renamed", "umbenannt", "renommée"),
    ("subscribed", "abonniert", "abonnement fait"),
    ("unsubscribed", "nicht mehr abonniert", "abonnement retiré"),
    ("listed", "aufgezählt", "énuméré"),
    ("told", "mitgeteilt", "indiqué"),
    ("status told", "Zustand mitgeteilt", "état indiqué"),
    ("opened", "geöffnet", "ouverte"),
    (
        "opened for reading",
        "zum Lesen geöffnet",
        "ouverte en lecture",
    ),
    ("closed", "geschlossen", "fermée"),
    ("deselected", "abgewählt", "désélectionnée"),
    (
        "The mailbox before is closed",
        "das vorige Postfach ist geschlossen",
        "la boîte précédente est fermée",
    ),
    ("idled", "gewartet", "attente terminée"),
    ("expunged", "entfernt", "effacé"),
    ("nothing is left", "nichts mehr da", "il ne reste rien"),
    ("appended", "angefügt", "ajouté"),
    ("replaced", "ersetzt", "remplacé"),
    (
        "the new message is there",
        "die neue Nachricht ist da",
        "le nouveau message est là",
    ),
    (
        "no message has that UID",
        "keine Nachricht hat diese UID",
        "aucun message n'a cet UID",
    ),
    ("fetched", "geholt", "récupéré"),
    ("stored", "gesetzt", "enregistré"),
    ("nothing to store", "nichts zu setzen", "rien à enregistrer"),
    (
        "some have changed meanwhile",
        "einige haben sich inzwischen geändert",
        "certains ont changé entre-temps",
    ),
    ("copied", "kopiert", "copié"),
    ("moved", "verschoben", "déplacé"),
    ("searched", "gesucht", "recherche faite"),
    ("sorted", "sortiert", "trié"),
    (
        "threaded",
        "nach Gesprächen geordnet",
        "regroupé par discussion",
    ),
    ("batches told", "Bündel mitgeteilt", "lots indiqués"),
    (
        "no further updates",
        "keine weiteren Änderungen",
        "plus de mises à jour",
    ),
    (
        "changes of this result are not told",
        "Änderungen dieses Ergebnisses werden nicht mitgeteilt",
        "les changements de ce résultat ne sont pas signalés",
    ),
    (
        "that is what texts are compared with",
        "damit werden Texte verglichen",
        "voilà avec quoi les textes sont comparés",
    ),
    (
        "there is no such comparator",
        "diesen Vergleich gibt es nicht",
        "ce comparateur n'existe pas",
    ),
    (
        "there is no such filter",
        "diesen Filter gibt es nicht",
        "ce filtre n'existe pas",
    ),
    (
        "mod-sequences are told from here on",
        "ab hier werden Änderungsnummern mitgeteilt",
        "les numéros de modification sont indiqués à partir d'ici",
    ),
    ("watching", "wird beobachtet", "surveillance en cours"),
    (
        "watching ends",
        "die Beobachtung endet",
        "la surveillance s'arrête",
    ),
    (
        "nothing is watched",
        "nichts wird beobachtet",
        "rien n'est surveillé",
    ),
    (
        "there are too many mailboxes to watch",
        "es sind zu viele Postfächer zu beobachten",
        "il y a trop de boîtes à surveiller",
    ),
    ("rights told", "Rechte mitgeteilt", "droits indiqués"),
    ("rights changed", "Rechte geändert", "droits modifiés"),
    (
        "the owner has all rights, always",
        "der Besitzer hat immer alle Rechte",
        "le propriétaire a toujours tous les droits",
    ),
    (
        "there is no such account",
        "dieses Konto gibt es nicht",
        "ce compte n'existe pas",
    ),
    ("quota told", "Speicherplatz mitgeteilt", "quota indiqué"),
    ("quota set", "Speicherplatz festgelegt", "quota fixé"),
    (
        "no such quota root",
        "diese Quota-Wurzel gibt es nicht",
        "cette racine de quota n'existe pas",
    ),
    (
        "there is no such resource",
        "diese Ressource gibt es nicht",
        "cette ressource n'existe pas",
    ),
    (
        "annotations told",
        "Anmerkungen mitgeteilt",
        "annotations indiquées",
    ),
    (
        "there is no such entry; those of vendors are /vendor/TOKEN/...",
        "diesen Eintrag gibt es nicht; die von Herstellern sind /vendor/TOKEN/...",
        "cette entrée n'existe pas ; celles des fournisseurs sont /vendor/TOKEN/...",
    ),
    (
        "a flag is \"1\", \"0\" or NIL",
        "eine Markierung ist \"1\", \"0\" oder NIL",
        "un drapeau est \"1\", \"0\" ou NIL",
    ),
    (
        "annotations set",
        "Anmerkungen gesetzt",
        "annotations enregistrées",
    ),
    (
        "the value is too big",
        "der Wert ist zu groß",
        "la valeur est trop grande",
    ),
    (
        "there are too many entries",
        "es gibt zu viele Einträge",
        "il y a trop d'entrées",
    ),
    ("too many entries", "zu viele Einträge", "trop d'entrées"),
    (
        "shared entries of the server are set by its administrator",
        "gemeinsame Einträge des Servers setzt sein Verwalter",
        "les entrées partagées du serveur sont fixées par son administrateur",
    ),
    (
        "URLs are authorized",
        "URLs sind freigegeben",
        "les URL sont autorisées",
    ),
    ("URLs fetched", "URLs geholt", "URL récupérées"),
    (
        "the key is new",
        "der Schlüssel ist neu",
        "la clé est nouvelle",
    ),
    (
        "all keys are removed",
        "alle Schlüssel sind entfernt",
        "toutes les clés sont supprimées",
    ),
    (
        "that URL names no message here",
        "diese URL nennt keine Nachricht von hier",
        "cette URL ne désigne aucun message d'ici",
    ),
    (
        "another mailbox has that use",
        "ein anderes Postfach hat diesen Zweck",
        "une autre boîte a cet usage",
    ),
    (
        "one special use at most",
        "höchstens ein besonderer Zweck",
        "un seul usage particulier",
    ),
    (
        "Unknown special use",
        "unbekannter besonderer Zweck",
        "usage particulier inconnu",
    ),
    (
        "a mailbox cannot be moved to another account",
        "ein Postfach kann nicht in ein anderes Konto verschoben werden",
        "une boîte ne peut pas passer à un autre compte",
    ),
    (
        "a header that is not ASCII needs ENABLE UTF8=ACCEPT",
        "ein Kopf, der nicht ASCII ist, braucht ENABLE UTF8=ACCEPT",
        "un en-tête qui n'est pas en ASCII exige ENABLE UTF8=ACCEPT",
    ),
    (
        "the part has an unknown transfer encoding",
        "der Teil ist auf unbekannte Weise kodiert",
        "la partie a un codage de transfert inconnu",
    ),
    (
        "That charset is not supported",
        "dieser Zeichensatz wird nicht unterstützt",
        "ce jeu de caractères n'est pas pris en charge",
    ),
    (
        "NOTIFY names an unknown event",
        "NOTIFY nennt ein unbekanntes Ereignis",
        "NOTIFY nomme un événement inconnu",
    ),
    // What SELECT tells.
    (
        "messages can be annotated",
        "Nachrichten können Anmerkungen haben",
        "les messages peuvent avoir des annotations",
    ),
    (
        "these flags are kept",
        "diese Markierungen bleiben",
        "ces drapeaux sont conservés",
    ),
    (
        "the first unseen message",
        "die erste ungelesene Nachricht",
        "le premier message non lu",
    ),
    (
        "UIDs are valid",
        "UIDs sind gültig",
        "les UID sont valables",
    ),
    ("the next UID", "die nächste UID", "le prochain UID"),
    (
        "the highest mod-sequence",
        "die höchste Änderungsnummer",
        "le numéro de modification le plus haut",
    ),
    (
        "the mailbox's identifier",
        "die Kennung des Postfachs",
        "l'identifiant de la boîte",
    ),
    (
        "URLs can be authorized",
        "URLs können freigegeben werden",
        "les URL peuvent être autorisées",
    ),
    // Limits.
    (
        "no mailbox's name ends in a separator",
        "kein Name eines Postfachs endet mit einem Trennzeichen",
        "aucun nom de boîte ne finit par un séparateur",
    ),
    (
        "ANNOTATION has too many values",
        "ANNOTATION hat zu viele Werte",
        "ANNOTATION a trop de valeurs",
    ),
    (
        "ANNOTATION names too much",
        "ANNOTATION nennt zu vieles",
        "ANNOTATION nomme trop d'éléments",
    ),
    (
        "SORT has too many criteria",
        "SORT hat zu viele Kriterien",
        "SORT a trop de critères",
    ),
    (
        "the message has too many annotations",
        "die Nachricht hat zu viele Anmerkungen",
        "le message a trop d'annotations",
    ),
    (
        "the value of the annotation is too big",
        "der Wert der Anmerkung ist zu groß",
        "la valeur de l'annotation est trop grande",
    ),
    (
        "that is too many messages for one command",
        "das sind zu viele Nachrichten für einen Befehl",
        "c'est trop de messages pour une commande",
    ),
    (
        "only the newest were dealt with",
        "nur die neuesten wurden bearbeitet",
        "seuls les plus récents ont été traités",
    ),
    (
        "the newest were dealt with",
        "die neuesten wurden bearbeitet",
        "les plus récents ont été traités",
    ),
    ("still at it", "noch dabei", "toujours en cours"),
    (
        "The command is too long",
        "der Befehl ist zu lang",
        "la commande est trop longue",
    ),
    (
        "The literal is too big",
        "das Literal ist zu groß",
        "le littéral est trop grand",
    ),
    (
        "The mailbox name is too long",
        "der Name des Postfachs ist zu lang",
        "le nom de la boîte est trop long",
    ),
    (
        "The mailbox name is not in UTF-8",
        "der Name des Postfachs ist nicht in UTF-8",
        "le nom de la boîte n'est pas en UTF-8",
    ),
    (
        "The mailbox name is not in canonical modified UTF-7",
        "der Name des Postfachs ist nicht in kanonischem modifiziertem UTF-7",
        "le nom de la boîte n'est pas en UTF-7 modifié canonique",
    ),
    (
        "A mailbox name holds no control characters",
        "der Name eines Postfachs hat keine Steuerzeichen",
        "le nom d'une boîte n'a pas de caractères de contrôle",
    ),
    (
        "A keyword is too long",
        "ein Schlüsselwort ist zu lang",
        "un mot-clé est trop long",
    ),
    (
        "Too many flags",
        "zu viele Markierungen",
        "trop de drapeaux",
    ),
    (
        "A set has too many ranges",
        "eine Menge hat zu viele Bereiche",
        "un ensemble a trop d'intervalles",
    ),
    (
        "too many messages",
        "zu viele Nachrichten",
        "trop de messages",
    ),
    (
        "a batch has {} messages at least",
        "ein Bündel hat mindestens {} Nachrichten",
        "un lot a au moins {} messages",
    ),
    (
        "APPEND has too many messages",
        "APPEND hat zu viele Nachrichten",
        "APPEND a trop de messages",
    ),
    (
        "CANCELUPDATE has too many tags",
        "CANCELUPDATE hat zu viele Kennungen",
        "CANCELUPDATE a trop d'étiquettes",
    ),
    (
        "CATENATE has too many parts",
        "CATENATE hat zu viele Teile",
        "CATENATE a trop de parties",
    ),
    (
        "COMPARATOR has too many arguments",
        "COMPARATOR hat zu viele Argumente",
        "COMPARATOR a trop d'arguments",
    ),
    (
        "LANGUAGE has too many arguments",
        "LANGUAGE hat zu viele Argumente",
        "LANGUAGE a trop d'arguments",
    ),
    (
        "ENABLE names too many capabilities",
        "ENABLE nennt zu viele Fähigkeiten",
        "ENABLE nomme trop de capacités",
    ),
    (
        "ESEARCH names too many mailboxes",
        "ESEARCH nennt zu viele Postfächer",
        "ESEARCH nomme trop de boîtes",
    ),
    (
        "FETCH names too many header fields",
        "FETCH nennt zu viele Kopffelder",
        "FETCH nomme trop de champs d'en-tête",
    ),
    (
        "FETCH names too many items",
        "FETCH nennt zu vieles",
        "FETCH nomme trop d'éléments",
    ),
    (
        "GENURLAUTH has too many URLs",
        "GENURLAUTH hat zu viele URLs",
        "GENURLAUTH a trop d'URL",
    ),
    (
        "LIST names too many patterns",
        "LIST nennt zu viele Muster",
        "LIST nomme trop de motifs",
    ),
    (
        "NOTIFY has too many event groups",
        "NOTIFY hat zu viele Gruppen",
        "NOTIFY a trop de groupes",
    ),
    (
        "RESETKEY has too many mechanisms",
        "RESETKEY hat zu viele Verfahren",
        "RESETKEY a trop de mécanismes",
    ),
    (
        "SEARCH has too many keys",
        "SEARCH hat zu viele Bedingungen",
        "SEARCH a trop de critères",
    ),
    (
        "SEARCH nests too deep",
        "SEARCH ist zu tief verschachtelt",
        "SEARCH est trop imbriqué",
    ),
    (
        "SETQUOTA names too many resources",
        "SETQUOTA nennt zu viele Ressourcen",
        "SETQUOTA nomme trop de ressources",
    ),
    (
        "URLFETCH has too many URLs",
        "URLFETCH hat zu viele URLs",
        "URLFETCH a trop d'URL",
    ),
    // Ends of connections.
    (
        "This is an IMAP server",
        "dies ist ein IMAP-Server",
        "ceci est un serveur IMAP",
    ),
    (
        "Octets behind STARTTLS",
        "Oktette hinter STARTTLS",
        "octets après STARTTLS",
    ),
    (
        "Too many commands that are not understood",
        "zu viele Befehle, die nicht verstanden werden",
        "trop de commandes incomprises",
    ),
    (
        "a label is a mailbox of the same account",
        "ein Label ist ein Postfach desselben Kontos",
        "un libellé est une boîte du même compte",
    ),
    (
        "the message would be nowhere: it needs a mailbox for archives",
        "die Nachricht wäre nirgends: es fehlt ein Postfach für das Archiv",
        "le message ne serait nulle part : il faut une boîte d'archives",
    ),
    ("too many labels", "zu viele Label", "trop de libellés"),
];
