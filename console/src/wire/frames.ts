// Printed by generate.mjs from docs/reference; do not edit.
export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description The frame was carried out; what else is there depends on what it asked. */
        Ack: {
            approvalId?: string;
            /** @description Whatever the client likes; it is echoed. */
            id: unknown;
            injected?: boolean;
            message?: string;
            sessionCreated?: boolean;
            /** Format: uuid */
            sessionId?: string;
            /** @enum {string} */
            status?: "queued" | "running" | "awaiting_approval" | "cancelling" | "completed" | "failed" | "cancelled";
            /** Format: uuid */
            taskId?: string;
            /** @enum {unknown} */
            type: "ack";
        };
        /** @description A call that waits for a decision. */
        ApprovalAnswer: {
            approvalId: string;
            /** Format: date-time */
            expiresAt: string;
            input: Record<string, never>;
            inputSha256: string;
            toolName: string;
            toolUseId: string;
        };
        /** @description Approve or reject what a task waits for. */
        Approve: {
            /** @default null */
            approvalId: string | null;
            approved: boolean;
            /**
             * @description Whatever the client likes; it is echoed.
             * @default null
             */
            id: unknown;
            /** @default null */
            inputSha256: string | null;
            /** @default null */
            onReject: ("cancel" | "continue") | null;
            /** @default null */
            reason: string | null;
            /** Format: uuid */
            taskId: string;
            /** @enum {unknown} */
            type: "approve";
        };
        /** @description A file in base64. */
        AttachmentBody: {
            base64Data: string;
            /** @default null */
            fileName: string | null;
            mediaType: string;
        };
        /** @description Stop a task; the answer does not wait until it has stopped. */
        Cancel: {
            /**
             * @description Whatever the client likes; it is echoed.
             * @default null
             */
            id: unknown;
            /** Format: uuid */
            taskId: string;
            /** @enum {unknown} */
            type: "cancel";
        };
        /** @description Why a task failed. */
        ErrorAnswer: {
            /** @enum {string} */
            code: "EXECUTION_ERROR" | "ENGINE_EOF" | "ENGINE_UNAVAILABLE" | "ENGINE_OVERLOADED" | "ENGINE_AUTH" | "MAX_TURNS" | "DEADLINE" | "NODE_LOST" | "CRASH_LOOP" | "BRIDGE_ERROR" | "BRIDGE_TIMEOUT" | "CONTEXT_TOO_LARGE";
            message: string;
        };
        /** @description A document. */
        FileAnswer: {
            fileName?: string;
            mediaType: string;
            sha256: string;
            size: number;
            /** @enum {unknown} */
            type: "file";
        };
        Frame: components["schemas"]["frame_subscribed"] | components["schemas"]["frame_stream_reset"] | components["schemas"]["frame_heartbeat"] | components["schemas"]["frame_session_info"] | components["schemas"]["frame_task_info"] | components["schemas"]["frame_user_message"] | components["schemas"]["frame_text"] | components["schemas"]["frame_thinking"] | components["schemas"]["frame_tool_use"] | components["schemas"]["frame_tool_result"] | components["schemas"]["frame_approval_required"] | components["schemas"]["frame_approval_resolved"] | components["schemas"]["frame_usage"] | components["schemas"]["frame_completed"] | components["schemas"]["frame_error"] | components["schemas"]["frame_cancelled"] | components["schemas"]["frame_oauth_prompt"] | components["schemas"]["frame_resume_lost"] | components["schemas"]["frame_ack"] | components["schemas"]["frame_problem"];
        frame_ack: components["schemas"]["Ack"];
        frame_approval_required: {
            approvalId: string;
            cursor: string;
            /** Format: date-time */
            expiresAt: string;
            input: Record<string, never>;
            inputSha256: string;
            seq?: number;
            /** Format: uuid */
            sessionId: string;
            /** Format: uuid */
            taskId?: string;
            toolName: string;
            toolUseId: string;
            /** Format: date-time */
            ts: string;
            /** @enum {unknown} */
            type: "approval_required";
        };
        frame_approval_resolved: {
            approvalId: string;
            by: string | null;
            cursor: string;
            /** @enum {string} */
            decision: "approved" | "rejected" | "expired" | "superseded";
            seq?: number;
            /** Format: uuid */
            sessionId: string;
            /** Format: uuid */
            taskId?: string;
            /** Format: date-time */
            ts: string;
            /** @enum {unknown} */
            type: "approval_resolved";
        };
        frame_cancelled: {
            /** @enum {string} */
            code: "USER_CANCEL" | "USER_INJECT" | "USER_REJECT" | "VOICE_INJECT" | "SUPERSEDED" | "SESSION_CLOSED" | "BUDGET" | "APPROVAL_EXPIRED" | "SHUTDOWN";
            cursor: string;
            message: string;
            seq?: number;
            /** Format: uuid */
            sessionId: string;
            /** Format: uuid */
            taskId?: string;
            /** Format: date-time */
            ts: string;
            /** @enum {unknown} */
            type: "cancelled";
        };
        frame_client_approve: components["schemas"]["Approve"];
        frame_client_cancel: components["schemas"]["Cancel"];
        frame_client_inject: components["schemas"]["Inject"];
        frame_client_ping: components["schemas"]["Ping"];
        frame_client_prompt: components["schemas"]["Prompt"];
        frame_completed: {
            costUsd: number | null;
            cursor: string;
            inputTokens: number;
            model: string;
            outputTokens: number;
            seq?: number;
            /** Format: uuid */
            sessionId: string;
            summary: string;
            /** Format: uuid */
            taskId?: string;
            tokensUsed: number;
            /** Format: date-time */
            ts: string;
            /** @enum {unknown} */
            type: "completed";
        };
        frame_error: {
            /** @enum {string} */
            code: "EXECUTION_ERROR" | "ENGINE_EOF" | "ENGINE_UNAVAILABLE" | "ENGINE_OVERLOADED" | "ENGINE_AUTH" | "MAX_TURNS" | "DEADLINE" | "NODE_LOST" | "CRASH_LOOP" | "BRIDGE_ERROR" | "BRIDGE_TIMEOUT" | "CONTEXT_TOO_LARGE";
            cursor: string;
            message: string;
            seq?: number;
            /** Format: uuid */
            sessionId: string;
            /** Format: uuid */
            taskId?: string;
            /** Format: date-time */
            ts: string;
            /** @enum {unknown} */
            type: "error";
        };
        frame_heartbeat: {
            cursor: string;
            headSeq: number;
            seq?: number;
            /** Format: uuid */
            sessionId: string;
            /** Format: uuid */
            taskId?: string;
            /** Format: date-time */
            ts: string;
            /** @enum {unknown} */
            type: "heartbeat";
        };
        frame_oauth_prompt: {
            cursor: string;
            provider: string;
            seq?: number;
            /** Format: uuid */
            sessionId: string;
            /** Format: uuid */
            taskId?: string;
            /** Format: date-time */
            ts: string;
            /** @enum {unknown} */
            type: "oauth_prompt";
            url: string;
        };
        frame_problem: components["schemas"]["Problem"];
        frame_resume_lost: {
            cursor: string;
            engineType: string;
            seq?: number;
            /** Format: uuid */
            sessionId: string;
            /** Format: uuid */
            taskId?: string;
            /** Format: date-time */
            ts: string;
            /** @enum {unknown} */
            type: "resume_lost";
        };
        frame_session_info: {
            cursor: string;
            seq?: number;
            /** Format: uuid */
            sessionId: string;
            /** @enum {string} */
            status?: "active" | "error" | "closed";
            /** Format: uuid */
            taskId?: string;
            title?: string;
            /** Format: date-time */
            ts: string;
            /** @enum {unknown} */
            type: "session_info";
        };
        frame_stream_reset: {
            cursor: string;
            headSeq: number;
            oldestSeq: number;
            /** @enum {string} */
            reason: "cursor_ahead" | "cursor_expired" | "tail_lost" | "attempt_restarted";
            seq?: number;
            /** Format: uuid */
            sessionId: string;
            snapshot: components["schemas"]["SnapshotAnswer"];
            /** Format: uuid */
            taskId?: string;
            /** Format: date-time */
            ts: string;
            /** @enum {unknown} */
            type: "stream_reset";
        };
        frame_subscribed: {
            cursor: string;
            headSeq: number;
            oldestSeq: number;
            seq?: number;
            /** Format: uuid */
            sessionId: string;
            snapshot: components["schemas"]["SnapshotAnswer"];
            /** Format: uuid */
            taskId?: string;
            /** Format: date-time */
            ts: string;
            /** @enum {unknown} */
            type: "subscribed";
        };
        frame_task_info: {
            cursor: string;
            seq?: number;
            /** Format: uuid */
            sessionId: string;
            /** @enum {string} */
            status: "queued" | "running" | "awaiting_approval" | "cancelling" | "completed" | "failed" | "cancelled";
            /** Format: uuid */
            taskId?: string;
            /** Format: date-time */
            ts: string;
            /** @enum {unknown} */
            type: "task_info";
        };
        frame_text: {
            content: string;
            cursor: string;
            seq?: number;
            /** Format: uuid */
            sessionId: string;
            /** Format: uuid */
            taskId?: string;
            /** Format: date-time */
            ts: string;
            /** @enum {unknown} */
            type: "text";
        };
        frame_thinking: {
            content: string;
            cursor: string;
            seq?: number;
            /** Format: uuid */
            sessionId: string;
            /** Format: uuid */
            taskId?: string;
            /** Format: date-time */
            ts: string;
            /** @enum {unknown} */
            type: "thinking";
        };
        frame_tool_result: {
            cursor: string;
            isError: boolean;
            output: string;
            seq?: number;
            /** Format: uuid */
            sessionId: string;
            /** Format: uuid */
            taskId?: string;
            toolUseId: string;
            /** Format: date-time */
            ts: string;
            /** @enum {unknown} */
            type: "tool_result";
        };
        frame_tool_use: {
            cursor: string;
            input: Record<string, never>;
            seq?: number;
            /** Format: uuid */
            sessionId: string;
            /** Format: uuid */
            taskId?: string;
            toolName: string;
            toolUseId: string;
            /** Format: date-time */
            ts: string;
            /** @enum {unknown} */
            type: "tool_use";
        };
        frame_usage: {
            cachedInputTokens: number;
            cacheWriteInputTokens: number;
            costUsd: number | null;
            cursor: string;
            /** @enum {string} */
            fidelity: "exact" | "estimated";
            inputTokens: number;
            model: string;
            outputTokens: number;
            reasoningTokens: number;
            seq?: number;
            /** Format: uuid */
            sessionId: string;
            /** Format: uuid */
            taskId?: string;
            /** Format: date-time */
            ts: string;
            /** @enum {unknown} */
            type: "usage";
        };
        frame_user_message: {
            content: (components["schemas"]["TextAnswer"] | components["schemas"]["ThinkingAnswer"] | components["schemas"]["ImageAnswer"] | components["schemas"]["FileAnswer"] | components["schemas"]["ToolUseAnswer"] | components["schemas"]["ToolResultAnswer"])[];
            cursor: string;
            messageId: string;
            seq?: number;
            /** Format: uuid */
            sessionId: string;
            /** Format: uuid */
            taskId?: string;
            /** Format: date-time */
            ts: string;
            /** @enum {unknown} */
            type: "user_message";
        };
        /** @description A picture. */
        ImageAnswer: {
            fileName?: string;
            mediaType: string;
            sha256: string;
            size: number;
            /** @enum {unknown} */
            type: "image";
        };
        /** @description Stop a live task and go on with a message in its place. */
        Inject: {
            /** @default null */
            attachments: components["schemas"]["AttachmentBody"][] | null;
            /**
             * @description Whatever the client likes; it is echoed.
             * @default null
             */
            id: unknown;
            message: string;
            /** Format: uuid */
            taskId: string;
            /** @enum {unknown} */
            type: "inject";
        };
        /** @description Ask whether anybody is there. */
        Ping: {
            /**
             * @description Whatever the client likes; it is echoed.
             * @default null
             */
            id: unknown;
            /** @enum {unknown} */
            type: "ping";
        };
        /** @description The frame was refused, and nothing was changed by it. */
        Problem: {
            code: string;
            detail: string;
            /** @description Whatever the client likes; it is echoed. */
            id: unknown;
            message: string;
            status: number;
            /** @enum {unknown} */
            type: "problem";
        };
        /** @description Answer a prompt in this session; ``sessionId`` is ignored. */
        Prompt: {
            /** @default null */
            allowedTools: string[] | null;
            /** @default null */
            attachments: components["schemas"]["AttachmentBody"][] | null;
            /** @default null */
            deadlineSeconds: number | null;
            /** @default null */
            engineType: string | null;
            /**
             * @description Whatever the client likes; it is echoed.
             * @default null
             */
            id: unknown;
            /** @default null */
            maxContextMessages: number | null;
            /** @default null */
            maxCostUsd: number | null;
            /** @default null */
            maxOutputTokens: number | null;
            /** @default null */
            maxTurns: number | null;
            /** @default null */
            model: string | null;
            /** @default null */
            onBusy: ("enqueue" | "interrupt" | "reject") | null;
            /** @default null */
            onCrash: ("fail" | "restart_if_pure" | "resume") | null;
            prompt: string;
            /** @default null */
            sessionId: string | null;
            /** @default null */
            systemPrompt: string | null;
            /** @enum {unknown} */
            type: "prompt";
            /** @default null */
            voiceMode: boolean | null;
        };
        /** @description A session. */
        SessionAnswer: {
            /** @enum {string} */
            activity: "idle" | "queued" | "running" | "awaiting_approval" | "cancelling";
            agentInstanceId: string | null;
            /** Format: date-time */
            createdAt: string;
            engineType: string;
            /** Format: uuid */
            id: string;
            /** @enum {string} */
            status: "active" | "error" | "closed";
            title: string;
            /** Format: date-time */
            updatedAt: string;
            voiceMode: boolean;
        };
        /** @description A session as it stands; ``text`` is what its task has said since the last message of the history. */
        SnapshotAnswer: {
            pendingApprovals: components["schemas"]["ApprovalAnswer"][];
            session: components["schemas"]["SessionAnswer"];
            task: components["schemas"]["TaskAnswer"] | null;
            text: string;
        };
        /** @description A task. */
        TaskAnswer: {
            completedAt: string | null;
            /** Format: date-time */
            createdAt: string;
            engineType: string;
            error: components["schemas"]["ErrorAnswer"] | null;
            /** Format: uuid */
            id: string;
            pendingApprovals: components["schemas"]["ApprovalAnswer"][];
            prompt: string;
            result: string | null;
            /** Format: uuid */
            sessionId: string;
            startedAt: string | null;
            /** @enum {string} */
            status: "queued" | "running" | "awaiting_approval" | "cancelling" | "completed" | "failed" | "cancelled";
            stopCode: ("USER_CANCEL" | "USER_INJECT" | "USER_REJECT" | "VOICE_INJECT" | "SUPERSEDED" | "SESSION_CLOSED" | "BUDGET" | "APPROVAL_EXPIRED" | "SHUTDOWN") | null;
            usage: components["schemas"]["UsageAnswer"];
        };
        /** @description Plain text. */
        TextAnswer: {
            text: string;
            /** @enum {unknown} */
            type: "text";
        };
        /** @description What the model thought aloud. */
        ThinkingAnswer: {
            text: string;
            /** @enum {unknown} */
            type: "thinking";
        };
        /** @description What came of a call. */
        ToolResultAnswer: {
            isError: boolean;
            output: string;
            toolUseId: string;
            /** @enum {unknown} */
            type: "tool_result";
        };
        /** @description A call that the engine wanted. */
        ToolUseAnswer: {
            input: Record<string, never>;
            toolName: string;
            toolUseId: string;
            /** @enum {unknown} */
            type: "tool_use";
        };
        /** @description What a task has cost so far. */
        UsageAnswer: {
            cachedInputTokens: number;
            cacheWriteInputTokens: number;
            costUsd: number | null;
            /** @enum {string} */
            fidelity: "exact" | "estimated";
            inputTokens: number;
            model: string;
            outputTokens: number;
            reasoningTokens: number;
            totalTokens: number;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
