-- agentcore 0013: recordings that are listened to are paid for, too.
--
-- They belong to no task yet, and perhaps never will: their row has an id of its own and no session.

ALTER TABLE usage_record ALTER COLUMN session_id DROP NOT NULL;
ALTER TABLE usage_record ADD COLUMN audio_seconds numeric(12,3) NOT NULL DEFAULT 0;
ALTER TABLE usage_record ADD CONSTRAINT usage_audio_form CHECK (audio_seconds >= 0);
