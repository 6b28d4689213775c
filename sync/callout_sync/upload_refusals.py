"""What an upload, a picture, or the wish to see one may be refused for. One class each, each with its own code."""

from callout_contracts.codes import picture_sentence
from callout_store.errors import Refusal


class TusVersionRefused(Refusal):
    code, status = "TUS_VERSION_UNKNOWN", 412
    en = "Uploads are taken by tus {spoken}; the header Tus-Resumable says {given}."
    zh = "上传使用 tus {spoken} 协议,请求头 Tus-Resumable 为 {given}。"


class UploadUnknown(Refusal):
    code, status = "UPLOAD_UNKNOWN", 404
    en = "There is no such upload, or it is not this phone's. Create one anew."
    zh = "找不到该上传任务,或它不属于此手机,请重新创建。"


class UploadExpired(Refusal):
    code, status = "UPLOAD_EXPIRED", 410
    en = "This upload was left unfinished for too long and was removed. Create one anew."
    zh = "该上传任务长时间未完成,已被清除,请重新创建。"


class UploadEnded(Refusal):
    code, status = "UPLOAD_ENDED", 410
    en = "This upload has ended ({why}). Create one anew."
    zh = "该上传任务已结束({why}),请重新创建。"


class UploadTypeRefused(Refusal):
    code, status = "UPLOAD_CONTENT_TYPE_WRONG", 415
    en = "Bytes of an upload travel as `Content-Type: application/offset+octet-stream`, not packed."
    zh = "上传内容须使用 `Content-Type: application/offset+octet-stream`,且不得压缩。"


class UploadLengthInvalid(Refusal):
    code, status = "UPLOAD_LENGTH_INVALID", 400
    en = "The header Upload-Length cannot be used: {why}."
    zh = "请求头 Upload-Length 无效:{why}。"


class UploadTooLarge(Refusal):
    code, status = "UPLOAD_TOO_LARGE", 413
    en = "An upload has at most {limit} bytes; this one has {given}."
    zh = "单个上传最大 {limit} 字节,此上传为 {given} 字节。"


class UploadPartTooLarge(Refusal):
    code, status = "UPLOAD_PART_TOO_LARGE", 413
    en = "One request carries at most {limit} bytes of an upload. Send it in several."
    zh = "单次请求最多 {limit} 字节,请分多次上传。"


class UploadLengthExceeded(Refusal):
    code, status = "UPLOAD_LENGTH_EXCEEDED", 413
    en = "More bytes came than the {length} that this upload was created for."
    zh = "收到的数据超过创建时声明的 {length} 字节。"


class UploadsTooMany(Refusal):
    code, status, retryable = "UPLOADS_TOO_MANY", 429, True
    en = "This phone has {limit} unfinished uploads. Finish or end some first."
    zh = "此手机已有 {limit} 个未完成的上传,请先完成或取消部分上传。"


class UploadMetadataInvalid(Refusal):
    code, status = "UPLOAD_METADATA_INVALID", 400
    en = "The header Upload-Metadata cannot be used: {why}."
    zh = "请求头 Upload-Metadata 无效:{why}。"


class UploadOffsetInvalid(Refusal):
    code, status = "UPLOAD_OFFSET_INVALID", 400
    en = "The header Upload-Offset is missing, or is no whole number."
    zh = "请求头 Upload-Offset 缺失或不是整数。"


class UploadOffsetWrong(Refusal):
    code, status = "UPLOAD_OFFSET_WRONG", 409
    en = "The server has {offset} bytes of this upload; the request began at {given}. Ask by HEAD and go on from there."
    zh = "服务器已收到 {offset} 字节,本次请求从 {given} 开始。请用 HEAD 查询后继续。"


class UploadSuperseded(Refusal):
    code, status = "UPLOAD_SUPERSEDED", 409
    en = "A newer request goes on with this upload."
    zh = "已有更新的请求在继续此上传。"


class UploadChecksumInvalid(Refusal):
    code, status = "UPLOAD_CHECKSUM_INVALID", 400
    en = "The header Upload-Checksum cannot be used: {why}."
    zh = "请求头 Upload-Checksum 无效:{why}。"


class UploadChecksumWrong(Refusal):
    code, status = "UPLOAD_CHECKSUM_WRONG", 460
    en = "The bytes that came do not have the checksum that was sent with them. None of them was kept; send them again."
    zh = "收到的数据与校验值不符,本次数据未保存,请重新发送。"


class UploadHashWrong(Refusal):
    code, status = "UPLOAD_HASH_WRONG", 422
    en = "The finished upload is not the file that its sha256 names (it has {given}). Nothing was kept; send it anew."
    zh = "上传完成后的内容与声明的 sha256 不符(实际为 {given}),未保存,请重新上传。"


class UploadConcatInvalid(Refusal):
    code, status = "UPLOAD_CONCAT_INVALID", 400
    en = "The header Upload-Concat cannot be used: {why}."
    zh = "请求头 Upload-Concat 无效:{why}。"


class UploadFinalReadOnly(Refusal):
    code, status = "UPLOAD_FINAL_READ_ONLY", 403
    en = "An upload that joins others takes no bytes of its own."
    zh = "合并上传不接收数据。"


class StorageUnavailable(Refusal):
    code, status, retryable = "STORAGE_UNAVAILABLE", 503, True
    en = "The place where photos are kept does not answer. What came before stays; go on later."
    zh = "照片存储暂时不可用,已上传部分会保留,请稍后继续。"


class AttachmentAwaited(Refusal):
    code, status, retryable = "ATTACHMENT_AWAITED", 404, True
    en = "This picture is not there yet ({state})."
    zh = "该图片尚未就绪({state})。"


class AttachmentRejected(Refusal):
    code, status = "ATTACHMENT_REJECTED", 404
    en = "This picture cannot be shown ({why}). Its bytes are kept."
    zh = "该图片无法显示({why}),原始数据已保留。"

    def message(self, locale: str = "en") -> str:
        """The sentence, and that of the code why."""
        return (
            f"{super().message(locale)} {picture_sentence(str(self.details.get('why', '')), locale)}".rstrip()
        )
