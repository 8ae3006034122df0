"""The words of the page to withdraw by, by language."""

from collections.abc import Mapping
from typing import NamedTuple


class Words(NamedTuple):
    """The words of the page in one language, plain text."""

    title: str
    about: str
    button: str
    label: str
    ask: str
    done: str
    asked: str
    wrong: str
    later: str
    subject: str
    confirm: str


WORDS: Mapping[str, Words] = {
    "en": Words(
        title="Stop following",
        about=(
            "The sender of this email sees when it is opened and when its links and files are used. You can "
            "stop that for all email from them, also for what you have got already. Links keep working, and you"
            " will still get email."
        ),
        button="Stop following what I do with this email",
        label="Your email address",
        ask=(
            "This email went to several people. Please give the address at which you got it: we will send a "
            "link there, to be sure that it is you."
        ),
        done="Done. What you do with email from this sender is not followed any more.",
        asked=(
            "If this address got the email, a message with a link is on its way to it. Following stops when you"
            " open the link and confirm."
        ),
        wrong="Please give a complete email address, such as name@example.com.",
        later="We cannot be sure that this was saved. Please try again in a few minutes.",
        subject="Please confirm: stop following",
        confirm=(
            "Somebody, probably you, asked that the sender no longer sees when email to this address is opened "
            "and used. To confirm, open this link. If it was not you, do nothing."
        ),
    ),
    "de": Words(
        title="Nachverfolgung beenden",
        about=(
            "Der Absender dieser E-Mail sieht, wann sie geöffnet wird und wann ihre Links und Dateien benutzt "
            "werden. Sie können das für alle seine E-Mails beenden, auch für die, die Sie schon haben. Links "
            "funktionieren weiter, und Sie erhalten weiterhin E-Mails."
        ),
        button="Nachverfolgung beenden",
        label="Ihre E-Mail-Adresse",
        ask=(
            "Diese E-Mail ging an mehrere Personen. Bitte geben Sie die Adresse an, unter der Sie sie erhalten "
            "haben: Wir senden einen Link dorthin, um sicher zu sein, dass Sie es sind."
        ),
        done="Erledigt. Was Sie mit E-Mails dieses Absenders tun, wird nicht mehr verfolgt.",
        asked=(
            "Wenn diese Adresse die E-Mail erhalten hat, ist eine Nachricht mit einem Link dorthin unterwegs. "
            "Die Nachverfolgung endet, wenn Sie den Link öffnen und bestätigen."
        ),
        wrong="Bitte geben Sie eine vollständige E-Mail-Adresse an, etwa name@example.com.",
        later=(
            "Wir sind nicht sicher, dass das gespeichert wurde. Bitte versuchen Sie es in einigen Minuten noch einmal."
        ),
        subject="Bitte bestätigen: Nachverfolgung beenden",
        confirm=(
            "Jemand, vermutlich Sie, möchte, dass der Absender nicht mehr sieht, wann E-Mails an diese Adresse "
            "geöffnet und benutzt werden. Öffnen Sie zur Bestätigung diesen Link. Wenn Sie es nicht waren, tun "
            "Sie nichts."
        ),
    ),
    "fr": Words(
        title="Arrêter le suivi",
        about=(
            "L'expéditeur de cet e-mail voit quand il est ouvert et quand ses liens et fichiers sont utilisés. "
            "Vous pouvez y mettre fin pour tous ses e-mails, y compris ceux déjà reçus. Les liens continuent de"
            " fonctionner, et vous recevrez toujours les e-mails."
        ),
        button="Arrêter le suivi",
        label="Votre adresse e-mail",
        ask=(
            "Cet e-mail a été envoyé à plusieurs personnes. Indiquez l'adresse à laquelle vous l'avez reçu : "
            "nous y enverrons un lien, pour être sûrs que c'est bien vous."
        ),
        done="C'est fait. Ce que vous faites des e-mails de cet expéditeur n'est plus suivi.",
        asked=(
            "Si cette adresse a reçu l'e-mail, un message avec un lien lui est envoyé. Le suivi s'arrête "
            "lorsque vous ouvrez le lien et confirmez."
        ),
        wrong="Indiquez une adresse e-mail complète, par exemple nom@example.com.",
        later="Nous ne sommes pas certains que votre demande a été enregistrée. Réessayez dans quelques minutes.",
        subject="Veuillez confirmer : arrêter le suivi",
        confirm=(
            "Quelqu'un, sans doute vous, a demandé que l'expéditeur ne voie plus quand les e-mails envoyés à "
            "cette adresse sont ouverts et utilisés. Pour confirmer, ouvrez ce lien. Si ce n'était pas vous, ne"
            " faites rien."
        ),
    ),
    "it": Words(
        title="Interrompere il tracciamento",
        about=(
            "Il mittente di questa e-mail vede quando viene aperta e quando si usano i suoi link e file. Può "
            "interromperlo per tutte le sue e-mail, anche per quelle già ricevute. I link continuano a "
            "funzionare e continuerà a ricevere e-mail."
        ),
        button="Interrompere il tracciamento",
        label="Il suo indirizzo e-mail",
        ask=(
            "Questa e-mail è stata inviata a più persone. Indichi l'indirizzo al quale l'ha ricevuta: vi "
            "invieremo un link, per essere certi che sia lei."
        ),
        done="Fatto. Ciò che fa con le e-mail di questo mittente non viene più tracciato.",
        asked=(
            "Se questo indirizzo ha ricevuto l'e-mail, gli viene inviato un messaggio con un link. Il "
            "tracciamento termina quando apre il link e conferma."
        ),
        wrong="Indichi un indirizzo e-mail completo, ad esempio nome@example.com.",
        later="Non siamo certi che la richiesta sia stata salvata. Riprovi tra qualche minuto.",
        subject="Conferma: interrompere il tracciamento",
        confirm=(
            "Qualcuno, probabilmente lei, ha chiesto che il mittente non veda più quando le e-mail a questo "
            "indirizzo vengono aperte e usate. Per confermare, apra questo link. Se non è stato lei, non faccia"
            " nulla."
        ),
    ),
    "es": Words(
        title="Detener el seguimiento",
        about=(
            "El remitente de este correo ve cuándo se abre y cuándo se usan sus enlaces y archivos. Puede "
            "detenerlo para todos sus correos, también los ya recibidos. Los enlaces seguirán funcionando y "
            "seguirá recibiendo correos."
        ),
        button="Detener el seguimiento",
        label="Su dirección de correo",
        ask=(
            "Este correo se envió a varias personas. Indique la dirección en la que lo recibió: le enviaremos "
            "allí un enlace, para asegurarnos de que es usted."
        ),
        done="Hecho. Lo que hace con los correos de este remitente ya no se sigue.",
        asked=(
            "Si esta dirección recibió el correo, se le envía un mensaje con un enlace. El seguimiento se "
            "detiene cuando abre el enlace y confirma."
        ),
        wrong="Indique una dirección de correo completa, por ejemplo nombre@example.com.",
        later="No estamos seguros de que se haya guardado. Inténtelo de nuevo en unos minutos.",
        subject="Confirme: detener el seguimiento",
        confirm=(
            "Alguien, probablemente usted, ha pedido que el remitente deje de ver cuándo se abren y usan los "
            "correos a esta dirección. Para confirmar, abra este enlace. Si no fue usted, no haga nada."
        ),
    ),
}
"""By language; the first is for everybody else."""
