"""What Whisper says when it has heard nothing.

Law: the evidence decides, and where it is weak a phrase that Whisper is known to invent decides too; on doubt nobody
has spoken.  Only a whole transcript is compared: whoever says more than such a phrase has spoken.
"""

import unicodedata

SILENT, UNSURE = 0.6, -1.0  #: Whisper's own limits: nobody speaks, and the text is a guess.
SILENT_ALONE = 0.9
#: Here the evidence is weak.  Measured with ``base``: whole sentences 0.02 to 0.05 and above -0.55, single words up to
#: 0.57 and down to -0.9 (so only phrases are refused for it), what is invented on silence 0.55 to 0.85 and under -0.85.
WEAK, WEAK_LOGPROB = 0.3, -0.7

PHRASES = (
    "you",
    "bye",
    "bye bye",
    "thank you",
    "thank you very much",
    "thank you so much",
    "thanks for watching",
    "thank you for watching",
    "thank you so much for watching",
    "thanks for listening",
    "thank you for listening",
    "please subscribe",
    "please subscribe to my channel",
    "like and subscribe",
    "see you next time",
    "see you in the next video",
    "i'll see you in the next video",
    "subtitles by the amara.org community",
    "subtitles by amara.org",
    "subtitles made by the community of amara.org",
    "transcription by castingwords",
    "untertitel der amara.org-community",
    "untertitel im auftrag des zdf für funk",
    "untertitel im auftrag des zdf",
    "untertitelung des zdf",
    "vielen dank",
    "vielen dank fürs zuschauen",
    "sous-titres réalisés par la communauté d'amara.org",
    "sous-titres réalisés para la communauté d'amara.org",
    "merci d'avoir regardé cette vidéo",
    "subtítulos realizados por la comunidad de amara.org",
    "gracias por ver el video",
    "legendas pela comunidade amara.org",
    "sottotitoli creati dalla comunità amara.org",
    "ondertiteld door de amara.org gemeenschap",
    "napisy stworzone przez społeczność amara.org",
    "субтитры сделал dimatorzok",
    "редактор субтитров а.семкин корректор а.егорова",  # noqa: RUF001 - Cyrillic
    "продолжение следует",
    "字幕由amara.org社区提供",
    "字幕由amara.org社區提供",
    "字幕志愿者",
    "字幕志愿者 杨茜茜",
    "请不吝点赞 订阅 转发 打赏支持明镜与点点栏目",
    "請不吝點贊 訂閱 轉發 打賞支持明鏡與點點欄目",
    "明镜需要您的支持 欢迎订阅明镜",
    "谢谢观看",
    "謝謝觀看",
    "谢谢大家",
    "感谢观看",
    "感謝觀看",
    "ご視聴ありがとうございました",
    "ご清聴ありがとうございました",
    "チャンネル登録をお願いいたします",
    "最後までご視聴いただきありがとうございます",
    "おやすみなさい",
    "mbc 뉴스 이덕영입니다",
    "mbc 뉴스 김성현입니다",
    "시청해주셔서 감사합니다",
    "구독과 좋아요 부탁드립니다",
    "다음 영상에서 만나요",
    "한글자막 by 한효정",
)


def spoken(text: str, no_speech: float | None, logprob: float | None) -> str:
    """Return *text* if somebody has said it, an empty text on doubt.

    *no_speech* is how likely it is that nobody speaks, *logprob* the mean log-probability of the tokens; None: not
    known, which is weak evidence only for the phrases of ``PHRASES``.
    """
    said = normalised(text)
    if not said:
        return ""
    silence = 0.0 if no_speech is None else no_speech
    if silence >= SILENT_ALONE or (silence >= SILENT and (logprob is None or logprob < UNSURE)):
        return ""
    is_weak = no_speech is None or silence >= WEAK or (logprob is not None and logprob < WEAK_LOGPROB)
    return "" if is_weak and said in KNOWN else text.strip()


def normalised(text: str) -> str:
    """Return the letters and digits of *text* alone, in one case, so that commas and width do not matter."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(sign for sign in folded if unicodedata.category(sign)[0] in {"L", "N", "M"})


KNOWN = frozenset(normalised(phrase) for phrase in PHRASES)
