// Printed by generate.mjs from docs/reference; do not edit.
export interface paths {
    "/api/v1/agent/engines": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Index */
        get: operations["listEngines"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/agent/engines/switch": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Switch */
        post: operations["switchEngine"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/agent/instances": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Index */
        get: operations["listInstances"];
        put?: never;
        /** Add */
        post: operations["addInstance"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/agent/instances/{instance_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Show */
        get: operations["getInstance"];
        put?: never;
        post?: never;
        /** Drop */
        delete: operations["removeInstance"];
        options?: never;
        head?: never;
        /** Change */
        patch: operations["changeInstance"];
        trace?: never;
    };
    "/api/v1/agent/instances/{instance_id}/secret": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Secret */
        get: operations["getInstanceSecret"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/agent/instances/{instance_id}/sessions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Sessions */
        get: operations["listInstanceSessions"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/agent/instances/{instance_id}/tasks": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Execute */
        post: operations["askInstance"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/agent/instances/openclaw-app-callback": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Callback */
        post: operations["answerAsBridge"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/agent/sessions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Index */
        get: operations["listSessions"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/agent/sessions/{session_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Show */
        get: operations["getSession"];
        put?: never;
        post?: never;
        /** Close */
        delete: operations["closeSession"];
        options?: never;
        head?: never;
        /** Rename */
        patch: operations["renameSession"];
        trace?: never;
    };
    "/api/v1/agent/sessions/{session_id}/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Events */
        get: operations["readEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/agent/sessions/{session_id}/export": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Export */
        get: operations["exportSession"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/agent/sessions/{session_id}/messages": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Messages */
        get: operations["listMessages"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/agent/sessions/{session_id}/oauth-trigger": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** OauthTrigger */
        post: operations["askForConsent"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/agent/sessions/{session_id}/tasks": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Tasks */
        get: operations["listTasks"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/agent/sessions/{session_id}/voice-message": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Speak */
        post: operations["speak"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/agent/stream-tickets": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Sell */
        post: operations["buyTicket"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/agent/tasks": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Execute */
        post: operations["createTask"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/agent/tasks/{task_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Show */
        get: operations["getTask"];
        put?: never;
        post?: never;
        /** Cancel */
        delete: operations["cancelTask"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/agent/tasks/{task_id}/approve": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Approve */
        post: operations["decideApproval"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/agent/tasks/{task_id}/inject": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Inject */
        post: operations["injectIntoTask"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/agent/transcribe": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Transcribe */
        post: operations["transcribe"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/agent/usage": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Report */
        get: operations["reportUsage"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/agent/usage/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Events */
        get: operations["listUsageEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/agent/usage/events/{event_id}/redeliver": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Redeliver */
        post: operations["redeliverUsageEvent"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/healthz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Healthz */
        get: operations["isAlive"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Metrics */
        get: operations["readFigures"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/readyz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Readyz */
        get: operations["isReady"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description A prompt was accepted. */
        AcceptedAnswer: {
            sessionCreated: boolean;
            /** Format: uuid */
            sessionId: string;
            /** @enum {string} */
            status: "queued" | "running" | "awaiting_approval" | "cancelling" | "completed" | "failed" | "cancelled";
            /** Format: uuid */
            taskId: string;
        };
        /** @description The process is up. */
        AliveAnswer: {
            status: string;
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
        /** @description The person is asked for consent. */
        ConsentAnswer: {
            message: string;
        };
        /** @description A decision was taken. */
        DecidedAnswer: {
            approvalId: string;
            message: string;
            /** Format: uuid */
            taskId: string;
        };
        /** @description GET /usage/events. */
        DeliveriesAnswer: {
            items: components["schemas"]["DeliveryAnswer"][];
        };
        /** @description A usage event and what became of it. */
        DeliveryAnswer: {
            attempts: number;
            call: string;
            createdAt: string;
            error: string | null;
            eventId: string;
            sessionId: string | null;
            state: string;
            taskId: string;
        };
        /** @description An engine. */
        EngineAnswer: {
            available: boolean;
            capabilities: {
                [key: string]: boolean;
            };
            default: boolean;
            engineType: string;
            models: string[];
            reason: string | null;
        };
        /** @description All engines. */
        EnginesAnswer: {
            engines: components["schemas"]["EngineAnswer"][];
        };
        /** @description What stands around the payload of every frame. */
        Envelope: {
            cursor: string;
            seq?: number;
            /** Format: uuid */
            sessionId: string;
            /** Format: uuid */
            taskId?: string;
            /** Format: date-time */
            ts: string;
            type: string;
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
        /** @description What is said in a recording. */
        HeardAnswer: {
            durationSeconds: number;
            language: string | null;
            noSpeechProbability: number;
            text: string;
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
        /** @description A message was injected. */
        InjectedAnswer: {
            /** @default true */
            injected: boolean;
            /** Format: uuid */
            sessionId: string;
            /** Format: uuid */
            taskId: string;
        };
        /** @description An instance. */
        InstanceAnswer: {
            createdAt: string;
            hostPort: number | null;
            id: string;
            name: string;
            serverHost: string | null;
            status: string;
            updatedAt: string;
            userId: string;
        };
        /** @description A session in the list of an instance. */
        InstanceSessionAnswer: {
            createdAt: string;
            id: string;
            status: string;
            title: string;
            updatedAt: string;
        };
        /** @description A message of the history. */
        MessageAnswer: {
            content: (components["schemas"]["TextAnswer"] | components["schemas"]["ThinkingAnswer"] | components["schemas"]["ImageAnswer"] | components["schemas"]["FileAnswer"] | components["schemas"]["ToolUseAnswer"] | components["schemas"]["ToolResultAnswer"])[];
            /** Format: date-time */
            createdAt: string;
            id: string;
            interrupted: boolean;
            /** @enum {string} */
            role: "user" | "assistant" | "tool";
            seq: number;
            /** Format: uuid */
            taskId: string;
        };
        /** @description A page of a session's history. */
        MessagesAnswer: {
            items: components["schemas"]["MessageAnswer"][];
            nextCursor: string | null;
        };
        Problem400: {
            /**
             * @description Stable, for programs.
             * @enum {string}
             */
            code: "audio_required" | "context_too_large" | "host_not_allowed" | "instance_not_running" | "invalid_request" | "tool_not_allowed" | "unknown_engine";
            /** @description What went wrong this time. */
            detail: string;
            /** @description The wire name of what is wrong, if it has one. */
            field?: string;
            /** @description The path that was asked for. */
            instance: string;
            /** @description The same as detail, for clients of the original. */
            message: string;
            /** @constant */
            status: 400;
            /** @description What went wrong, the same sentence for every problem of its code. */
            title: string;
            /**
             * Format: uri
             * @enum {string}
             */
            type: "urn:agentcore:problem:audio_required" | "urn:agentcore:problem:context_too_large" | "urn:agentcore:problem:host_not_allowed" | "urn:agentcore:problem:instance_not_running" | "urn:agentcore:problem:invalid_request" | "urn:agentcore:problem:tool_not_allowed" | "urn:agentcore:problem:unknown_engine";
        };
        Problem401: {
            /**
             * @description Stable, for programs.
             * @enum {string}
             */
            code: "callback_unverified" | "unauthenticated";
            /** @description What went wrong this time. */
            detail: string;
            /** @description The path that was asked for. */
            instance: string;
            /** @description The same as detail, for clients of the original. */
            message: string;
            /** @constant */
            status: 401;
            /** @description What went wrong, the same sentence for every problem of its code. */
            title: string;
            /**
             * Format: uri
             * @enum {string}
             */
            type: "urn:agentcore:problem:callback_unverified" | "urn:agentcore:problem:unauthenticated";
        };
        Problem403: {
            /**
             * @description Stable, for programs.
             * @enum {string}
             */
            code: "four_eyes_required" | "origin_refused" | "role_required";
            /** @description What went wrong this time. */
            detail: string;
            /** @description The path that was asked for. */
            instance: string;
            /** @description The same as detail, for clients of the original. */
            message: string;
            /** @constant */
            status: 403;
            /** @description What went wrong, the same sentence for every problem of its code. */
            title: string;
            /**
             * Format: uri
             * @enum {string}
             */
            type: "urn:agentcore:problem:four_eyes_required" | "urn:agentcore:problem:origin_refused" | "urn:agentcore:problem:role_required";
        };
        Problem404: {
            /**
             * @description Stable, for programs.
             * @enum {string}
             */
            code: "instance_not_found" | "not_found" | "session_not_found" | "task_not_found";
            /** @description What went wrong this time. */
            detail: string;
            /** @description The path that was asked for. */
            instance: string;
            /** @description The same as detail, for clients of the original. */
            message: string;
            /** @constant */
            status: 404;
            /** @description What went wrong, the same sentence for every problem of its code. */
            title: string;
            /**
             * Format: uri
             * @enum {string}
             */
            type: "urn:agentcore:problem:instance_not_found" | "urn:agentcore:problem:not_found" | "urn:agentcore:problem:session_not_found" | "urn:agentcore:problem:task_not_found";
        };
        Problem405: {
            /**
             * @description Stable, for programs.
             * @enum {string}
             */
            code: "method_not_allowed";
            /** @description What went wrong this time. */
            detail: string;
            /** @description The path that was asked for. */
            instance: string;
            /** @description The same as detail, for clients of the original. */
            message: string;
            /** @constant */
            status: 405;
            /** @description What went wrong, the same sentence for every problem of its code. */
            title: string;
            /**
             * Format: uri
             * @enum {string}
             */
            type: "urn:agentcore:problem:method_not_allowed";
        };
        Problem409: {
            /**
             * @description Stable, for programs.
             * @enum {string}
             */
            code: "approval_conflict" | "conflict" | "idempotency_in_flight" | "session_busy" | "session_closed" | "task_conflict" | "task_not_live";
            /** @description What went wrong this time. */
            detail: string;
            /** @description The path that was asked for. */
            instance: string;
            /**
             * Format: uuid
             * @description Of session_busy: the task that is in the way.
             */
            liveTaskId?: string;
            /** @description The same as detail, for clients of the original. */
            message: string;
            /** @constant */
            status: 409;
            /** @description What went wrong, the same sentence for every problem of its code. */
            title: string;
            /**
             * Format: uri
             * @enum {string}
             */
            type: "urn:agentcore:problem:approval_conflict" | "urn:agentcore:problem:conflict" | "urn:agentcore:problem:idempotency_in_flight" | "urn:agentcore:problem:session_busy" | "urn:agentcore:problem:session_closed" | "urn:agentcore:problem:task_conflict" | "urn:agentcore:problem:task_not_live";
        };
        Problem413: {
            /**
             * @description Stable, for programs.
             * @enum {string}
             */
            code: "too_large";
            /** @description What went wrong this time. */
            detail: string;
            /** @description The path that was asked for. */
            instance: string;
            /** @description The same as detail, for clients of the original. */
            message: string;
            /** @constant */
            status: 413;
            /** @description What went wrong, the same sentence for every problem of its code. */
            title: string;
            /**
             * Format: uri
             * @enum {string}
             */
            type: "urn:agentcore:problem:too_large";
        };
        Problem415: {
            /**
             * @description Stable, for programs.
             * @enum {string}
             */
            code: "unsupported_media";
            /** @description What went wrong this time. */
            detail: string;
            /** @description The path that was asked for. */
            instance: string;
            /** @description The same as detail, for clients of the original. */
            message: string;
            /** @constant */
            status: 415;
            /** @description What went wrong, the same sentence for every problem of its code. */
            title: string;
            /**
             * Format: uri
             * @enum {string}
             */
            type: "urn:agentcore:problem:unsupported_media";
        };
        Problem422: {
            /**
             * @description Stable, for programs.
             * @enum {string}
             */
            code: "idempotency_mismatch" | "speech_not_detected";
            /** @description What went wrong this time. */
            detail: string;
            /** @description The path that was asked for. */
            instance: string;
            /** @description The same as detail, for clients of the original. */
            message: string;
            /** @constant */
            status: 422;
            /** @description What went wrong, the same sentence for every problem of its code. */
            title: string;
            /**
             * Format: uri
             * @enum {string}
             */
            type: "urn:agentcore:problem:idempotency_mismatch" | "urn:agentcore:problem:speech_not_detected";
        };
        Problem429: {
            /**
             * @description Stable, for programs.
             * @enum {string}
             */
            code: "budget_exceeded" | "over_limit";
            /** @description What went wrong this time. */
            detail: string;
            /** @description The path that was asked for. */
            instance: string;
            /** @description The same as detail, for clients of the original. */
            message: string;
            /** @constant */
            status: 429;
            /** @description What went wrong, the same sentence for every problem of its code. */
            title: string;
            /**
             * Format: uri
             * @enum {string}
             */
            type: "urn:agentcore:problem:budget_exceeded" | "urn:agentcore:problem:over_limit";
        };
        Problem503: {
            /**
             * @description Stable, for programs.
             * @enum {string}
             */
            code: "engine_unavailable" | "identity_unavailable" | "schema_outdated" | "shutting_down" | "store_unavailable" | "stt_unavailable" | "unavailable";
            /** @description What went wrong this time. */
            detail: string;
            /** @description The path that was asked for. */
            instance: string;
            /** @description The same as detail, for clients of the original. */
            message: string;
            /** @constant */
            status: 503;
            /** @description What went wrong, the same sentence for every problem of its code. */
            title: string;
            /**
             * Format: uri
             * @enum {string}
             */
            type: "urn:agentcore:problem:engine_unavailable" | "urn:agentcore:problem:identity_unavailable" | "urn:agentcore:problem:schema_outdated" | "urn:agentcore:problem:shutting_down" | "urn:agentcore:problem:store_unavailable" | "urn:agentcore:problem:stt_unavailable" | "urn:agentcore:problem:unavailable";
        };
        /** @description Whether requests can be served, and if not why; and what makes them slower and nothing worse. */
        ReadyAnswer: {
            degraded: "bus_unavailable"[];
            ready: boolean;
            reasons: ("shutting_down" | "engine_unavailable" | "store_unavailable" | "schema_outdated")[];
        };
        /** @description What every believed callback is answered, whether it counts or not. */
        ReceivedAnswer: {
            /** @default true */
            received: boolean;
        };
        /** @description An event will be sent again. */
        RedeliveredAnswer: {
            eventId: string;
            /** @default Event will be sent again */
            message: string;
        };
        /** @description GET /usage. */
        ReportAnswer: {
            items: components["schemas"]["TotalsAnswer"][];
            total: components["schemas"]["TotalsAnswer"];
        };
        /** @description The key of an instance's bridge. */
        SecretAnswer: {
            secret: string;
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
        /** @description A page of sessions, newest first. */
        SessionsAnswer: {
            items: components["schemas"]["SessionAnswer"][];
            nextCursor: string | null;
        };
        /** @description What was said was accepted as a prompt. */
        SpokenAnswer: {
            sessionCreated: boolean;
            /** Format: uuid */
            sessionId: string;
            /** Format: uuid */
            taskId: string;
            transcript: string;
        };
        /** @description What DELETE /tasks/{id} has found or done. */
        StoppedAnswer: {
            /** @default null */
            message: string | null;
            /** @enum {string} */
            status: "queued" | "running" | "awaiting_approval" | "cancelling" | "completed" | "failed" | "cancelled";
            /** Format: uuid */
            taskId: string;
        };
        /** @description New sessions use another engine. */
        SwitchedAnswer: {
            engineType: string;
            message: string;
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
        /** @description A page of tasks, in the order in which they came. */
        TasksAnswer: {
            items: components["schemas"]["TaskAnswer"][];
            nextCursor: string | null;
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
        /** @description What opens one WebSocket. */
        TicketAnswer: {
            /** Format: date-time */
            expiresAt: string;
            ticket: string;
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
        /** @description Usage, added up. */
        TotalsAnswer: {
            audioSeconds: string;
            calls: number;
            costUsd: string | null;
            inputTokens: number;
            key: string | null;
            outputTokens: number;
            tasks: number;
            totalTokens: number;
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
    responses: {
        /** @description Bad Request */
        Problem400: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "type": "urn:agentcore:problem:audio_required",
                 *       "title": "The request carries no recording.",
                 *       "status": 400,
                 *       "detail": "The request carries no recording.",
                 *       "instance": "/api/v1/agent/tasks/0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                 *       "code": "audio_required",
                 *       "message": "The request carries no recording."
                 *     }
                 */
                "application/problem+json": components["schemas"]["Problem400"];
            };
        };
        /** @description Unauthorized */
        Problem401: {
            headers: {
                /** @description How to show who asks; not of callbacks. */
                "WWW-Authenticate"?: string;
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "type": "urn:agentcore:problem:callback_unverified",
                 *       "title": "The callback does not prove that it answers one of our tasks.",
                 *       "status": 401,
                 *       "detail": "The callback does not prove that it answers one of our tasks.",
                 *       "instance": "/api/v1/agent/tasks/0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                 *       "code": "callback_unverified",
                 *       "message": "The callback does not prove that it answers one of our tasks."
                 *     }
                 */
                "application/problem+json": components["schemas"]["Problem401"];
            };
        };
        /** @description Forbidden */
        Problem403: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "type": "urn:agentcore:problem:four_eyes_required",
                 *       "title": "Who asked for a task may not decide what it waits for.",
                 *       "status": 403,
                 *       "detail": "Who asked for a task may not decide what it waits for.",
                 *       "instance": "/api/v1/agent/tasks/0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                 *       "code": "four_eyes_required",
                 *       "message": "Who asked for a task may not decide what it waits for."
                 *     }
                 */
                "application/problem+json": components["schemas"]["Problem403"];
            };
        };
        /** @description Not Found */
        Problem404: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "type": "urn:agentcore:problem:instance_not_found",
                 *       "title": "There is no such instance.",
                 *       "status": 404,
                 *       "detail": "There is no such instance.",
                 *       "instance": "/api/v1/agent/tasks/0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                 *       "code": "instance_not_found",
                 *       "message": "There is no such instance."
                 *     }
                 */
                "application/problem+json": components["schemas"]["Problem404"];
            };
        };
        /** @description Method Not Allowed */
        Problem405: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "type": "urn:agentcore:problem:method_not_allowed",
                 *       "title": "The request cannot be answered.",
                 *       "status": 405,
                 *       "detail": "The request cannot be answered.",
                 *       "instance": "/api/v1/agent/tasks/0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                 *       "code": "method_not_allowed",
                 *       "message": "The request cannot be answered."
                 *     }
                 */
                "application/problem+json": components["schemas"]["Problem405"];
            };
        };
        /** @description Conflict */
        Problem409: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "type": "urn:agentcore:problem:approval_conflict",
                 *       "title": "There is nothing here that this decision could decide.",
                 *       "status": 409,
                 *       "detail": "There is nothing here that this decision could decide.",
                 *       "instance": "/api/v1/agent/tasks/0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                 *       "code": "approval_conflict",
                 *       "message": "There is nothing here that this decision could decide."
                 *     }
                 */
                "application/problem+json": components["schemas"]["Problem409"];
            };
        };
        /** @description Request Entity Too Large */
        Problem413: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "type": "urn:agentcore:problem:too_large",
                 *       "title": "The request is larger than what is accepted.",
                 *       "status": 413,
                 *       "detail": "The request is larger than what is accepted.",
                 *       "instance": "/api/v1/agent/tasks/0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                 *       "code": "too_large",
                 *       "message": "The request is larger than what is accepted."
                 *     }
                 */
                "application/problem+json": components["schemas"]["Problem413"];
            };
        };
        /** @description Unsupported Media Type */
        Problem415: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "type": "urn:agentcore:problem:unsupported_media",
                 *       "title": "The media type is not accepted here.",
                 *       "status": 415,
                 *       "detail": "The media type is not accepted here.",
                 *       "instance": "/api/v1/agent/tasks/0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                 *       "code": "unsupported_media",
                 *       "message": "The media type is not accepted here."
                 *     }
                 */
                "application/problem+json": components["schemas"]["Problem415"];
            };
        };
        /** @description Unprocessable Entity */
        Problem422: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "type": "urn:agentcore:problem:idempotency_mismatch",
                 *       "title": "This Idempotency-Key was used for another request.",
                 *       "status": 422,
                 *       "detail": "This Idempotency-Key was used for another request.",
                 *       "instance": "/api/v1/agent/tasks/0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                 *       "code": "idempotency_mismatch",
                 *       "message": "This Idempotency-Key was used for another request."
                 *     }
                 */
                "application/problem+json": components["schemas"]["Problem422"];
            };
        };
        /** @description Too Many Requests */
        Problem429: {
            headers: {
                /** @description Seconds to wait before trying again. */
                "Retry-After": number;
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "type": "urn:agentcore:problem:budget_exceeded",
                 *       "title": "The tenant has used up what it may use in a day.",
                 *       "status": 429,
                 *       "detail": "The tenant has used up what it may use in a day.",
                 *       "instance": "/api/v1/agent/tasks/0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                 *       "code": "budget_exceeded",
                 *       "message": "The tenant has used up what it may use in a day."
                 *     }
                 */
                "application/problem+json": components["schemas"]["Problem429"];
            };
        };
        /** @description Service Unavailable */
        Problem503: {
            headers: {
                /** @description Seconds to wait before trying again. */
                "Retry-After": number;
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "type": "urn:agentcore:problem:engine_unavailable",
                 *       "title": "The engine cannot be used as things are set up.",
                 *       "status": 503,
                 *       "detail": "The engine cannot be used as things are set up.",
                 *       "instance": "/api/v1/agent/tasks/0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                 *       "code": "engine_unavailable",
                 *       "message": "The engine cannot be used as things are set up."
                 *     }
                 */
                "application/problem+json": components["schemas"]["Problem503"];
            };
        };
    };
    parameters: {
        /** @description The same key and body within 24 hours is answered with the stored answer. */
        "Idempotency-Key": string;
        /** @description The last id of the server-sent events; counts before `after`. */
        "Last-Event-ID": string;
        /** @description Standard Webhooks. */
        "webhook-id": string;
        /** @description Standard Webhooks. */
        "webhook-signature": string;
        /** @description Standard Webhooks: seconds since 1970. */
        "webhook-timestamp": string;
        /** @description The token of the session that its system prompt carries. */
        "X-OAuth-Token": string;
        /** @description The tenant, where the mode of authentication takes it from here. */
        "X-Tenant-Id": string;
        /** @description The user, where the mode of authentication takes it from here. */
        "X-User-Id": string;
    };
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    listEngines: {
        parameters: {
            query?: never;
            header?: {
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "engines": [
                     *         {
                     *           "engineType": "claude_api",
                     *           "available": true,
                     *           "default": true,
                     *           "reason": null,
                     *           "models": [
                     *             "a-model"
                     *           ],
                     *           "capabilities": {
                     *             "streaming": true,
                     *             "tools": true,
                     *             "resume": false
                     *           }
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["EnginesAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    switchEngine: {
        parameters: {
            query?: never;
            header?: {
                /** @description The same key and body within 24 hours is answered with the stored answer. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "engineType": "claude_api"
                 *     }
                 */
                "application/json": {
                    engineType: string;
                };
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    /** @description true: this is the stored answer to an earlier request with the same Idempotency-Key. */
                    "Idempotency-Replayed"?: "true";
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "message": "Engine switched",
                     *       "engineType": "claude_api"
                     *     }
                     */
                    "application/json": components["schemas"]["SwitchedAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    listInstances: {
        parameters: {
            query?: {
                limit?: number;
            };
            header?: {
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "id": "0190c2d4-7a33-7f02-9d41-2b6e8c0f1a57",
                     *         "name": "Butler",
                     *         "serverHost": "bridge.example",
                     *         "hostPort": 8443,
                     *         "status": "running",
                     *         "userId": "alice",
                     *         "createdAt": "2026-01-01T09:30:00.000Z",
                     *         "updatedAt": "2026-01-01T09:30:00.000Z"
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["InstanceAnswer"][];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    addInstance: {
        parameters: {
            query?: never;
            header?: {
                /** @description The same key and body within 24 hours is answered with the stored answer. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "name": "Butler",
                 *       "serverHost": "bridge.example",
                 *       "hostPort": 8443,
                 *       "status": "running"
                 *     }
                 */
                "application/json": {
                    /** @default null */
                    hostPort?: number | null;
                    /** @default null */
                    id?: string | null;
                    /** @default null */
                    name?: string | null;
                    /** @default null */
                    serverHost?: string | null;
                    /** @default null */
                    status?: ("error" | "running" | "stopped") | null;
                    /** @default null */
                    userId?: string | null;
                };
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    /** @description true: this is the stored answer to an earlier request with the same Idempotency-Key. */
                    "Idempotency-Replayed"?: "true";
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0190c2d4-7a33-7f02-9d41-2b6e8c0f1a57",
                     *       "name": "Butler",
                     *       "serverHost": "bridge.example",
                     *       "hostPort": 8443,
                     *       "status": "running",
                     *       "userId": "alice",
                     *       "createdAt": "2026-01-01T09:30:00.000Z",
                     *       "updatedAt": "2026-01-01T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["InstanceAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    getInstance: {
        parameters: {
            query?: never;
            header?: {
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path: {
                instance_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0190c2d4-7a33-7f02-9d41-2b6e8c0f1a57",
                     *       "name": "Butler",
                     *       "serverHost": "bridge.example",
                     *       "hostPort": 8443,
                     *       "status": "running",
                     *       "userId": "alice",
                     *       "createdAt": "2026-01-01T09:30:00.000Z",
                     *       "updatedAt": "2026-01-01T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["InstanceAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    removeInstance: {
        parameters: {
            query?: never;
            header?: {
                /** @description The same key and body within 24 hours is answered with the stored answer. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path: {
                instance_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    /** @description true: this is the stored answer to an earlier request with the same Idempotency-Key. */
                    "Idempotency-Replayed"?: "true";
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0190c2d4-7a33-7f02-9d41-2b6e8c0f1a57",
                     *       "name": "Butler",
                     *       "serverHost": "bridge.example",
                     *       "hostPort": 8443,
                     *       "status": "running",
                     *       "userId": "alice",
                     *       "createdAt": "2026-01-01T09:30:00.000Z",
                     *       "updatedAt": "2026-01-01T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["InstanceAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    changeInstance: {
        parameters: {
            query?: never;
            header?: {
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path: {
                instance_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "status": "stopped"
                 *     }
                 */
                "application/json": {
                    /** @default null */
                    hostPort?: number | null;
                    /** @default null */
                    name?: string | null;
                    /** @default null */
                    serverHost?: string | null;
                    /** @default null */
                    status?: ("error" | "running" | "stopped") | null;
                };
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0190c2d4-7a33-7f02-9d41-2b6e8c0f1a57",
                     *       "name": "Butler",
                     *       "serverHost": "bridge.example",
                     *       "hostPort": 8443,
                     *       "status": "running",
                     *       "userId": "alice",
                     *       "createdAt": "2026-01-01T09:30:00.000Z",
                     *       "updatedAt": "2026-01-01T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["InstanceAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    getInstanceSecret: {
        parameters: {
            query?: never;
            header?: {
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path: {
                instance_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "secret": "whsec_ZGVmYXVsdA=="
                     *     }
                     */
                    "application/json": components["schemas"]["SecretAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    listInstanceSessions: {
        parameters: {
            query?: {
                limit?: number;
            };
            header?: {
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path: {
                instance_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "id": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *         "title": "Plants",
                     *         "status": "active",
                     *         "createdAt": "2026-01-01T09:30:00.000Z",
                     *         "updatedAt": "2026-01-01T09:30:00.000Z"
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["InstanceSessionAnswer"][];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    askInstance: {
        parameters: {
            query?: never;
            header?: {
                /** @description The same key and body within 24 hours is answered with the stored answer. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path: {
                instance_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "prompt": "Water the plants."
                 *     }
                 */
                "application/json": {
                    /** @default null */
                    deadlineSeconds?: number | null;
                    /** @default null */
                    onBusy?: ("enqueue" | "interrupt" | "reject") | null;
                    prompt: string;
                    /** @default null */
                    sessionId?: string | null;
                };
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    /** @description true: this is the stored answer to an earlier request with the same Idempotency-Key. */
                    "Idempotency-Replayed"?: "true";
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "sessionId": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *       "taskId": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                     *       "sessionCreated": true,
                     *       "status": "queued"
                     *     }
                     */
                    "application/json": components["schemas"]["AcceptedAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    answerAsBridge: {
        parameters: {
            query?: never;
            header?: {
                /** @description Standard Webhooks. */
                "webhook-id"?: components["parameters"]["webhook-id"];
                /** @description Standard Webhooks. */
                "webhook-signature"?: components["parameters"]["webhook-signature"];
                /** @description Standard Webhooks: seconds since 1970. */
                "webhook-timestamp"?: components["parameters"]["webhook-timestamp"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "ok": true,
                 *       "result": "Watered.",
                 *       "callbackData": {
                 *         "sessionId": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                 *         "taskId": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                 *         "signature": "v1.ZGVmYXVsdA==.00"
                 *       }
                 *     }
                 */
                "application/json": {
                    /**
                     * CallbackData
                     * @description What a bridge echoes.
                     */
                    callbackData: {
                        sessionId: string;
                        signature: string;
                        taskId: string;
                    };
                    /** @default null */
                    error?: string | null;
                    /** @default null */
                    isTimeout?: boolean | null;
                    ok: boolean;
                    /** @default null */
                    result?: string | null;
                    /** @default null */
                    usage?: {
                        /** @default 0 */
                        cachedInputTokens?: number;
                        /** @default 0 */
                        cacheWriteInputTokens?: number;
                        inputTokens: number;
                        /** @default  */
                        model?: string;
                        outputTokens: number;
                        /** @default 0 */
                        reasoningTokens?: number;
                    } | null;
                };
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "received": true
                     *     }
                     */
                    "application/json": components["schemas"]["ReceivedAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    listSessions: {
        parameters: {
            query?: {
                all?: boolean;
                cursor?: string;
                limit?: number;
                owner?: string | null;
            };
            header?: {
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "items": [
                     *         {
                     *           "id": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *           "title": "What is a monad?",
                     *           "status": "active",
                     *           "activity": "idle",
                     *           "engineType": "claude_api",
                     *           "voiceMode": false,
                     *           "agentInstanceId": null,
                     *           "createdAt": "2026-01-01T09:30:00.000Z",
                     *           "updatedAt": "2026-01-01T09:30:00.000Z"
                     *         }
                     *       ],
                     *       "nextCursor": null
                     *     }
                     */
                    "application/json": components["schemas"]["SessionsAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    getSession: {
        parameters: {
            query?: never;
            header?: {
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path: {
                session_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *       "title": "What is a monad?",
                     *       "status": "active",
                     *       "activity": "idle",
                     *       "engineType": "claude_api",
                     *       "voiceMode": false,
                     *       "agentInstanceId": null,
                     *       "createdAt": "2026-01-01T09:30:00.000Z",
                     *       "updatedAt": "2026-01-01T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["SessionAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    closeSession: {
        parameters: {
            query?: {
                erase?: boolean;
            };
            header?: {
                /** @description The same key and body within 24 hours is answered with the stored answer. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path: {
                session_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    /** @description true: this is the stored answer to an earlier request with the same Idempotency-Key. */
                    "Idempotency-Replayed"?: "true";
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *       "title": "What is a monad?",
                     *       "status": "active",
                     *       "activity": "idle",
                     *       "engineType": "claude_api",
                     *       "voiceMode": false,
                     *       "agentInstanceId": null,
                     *       "createdAt": "2026-01-01T09:30:00.000Z",
                     *       "updatedAt": "2026-01-01T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["SessionAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    renameSession: {
        parameters: {
            query?: never;
            header?: {
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path: {
                session_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "title": "Monads"
                 *     }
                 */
                "application/json": {
                    title: string;
                };
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *       "title": "What is a monad?",
                     *       "status": "active",
                     *       "activity": "idle",
                     *       "engineType": "claude_api",
                     *       "voiceMode": false,
                     *       "agentInstanceId": null,
                     *       "createdAt": "2026-01-01T09:30:00.000Z",
                     *       "updatedAt": "2026-01-01T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["SessionAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    readEvents: {
        parameters: {
            query?: {
                after?: string;
                include?: "all";
                limit?: number;
                wait?: number;
            };
            header?: {
                /** @description The last id of the server-sent events; counts before `after`. */
                "Last-Event-ID"?: components["parameters"]["Last-Event-ID"];
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path: {
                session_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "items": [
                     *         {
                     *           "type": "session_info",
                     *           "cursor": "7",
                     *           "seq": 7,
                     *           "sessionId": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *           "ts": "2026-01-01T09:30:00.000Z"
                     *         },
                     *         {
                     *           "type": "task_info",
                     *           "cursor": "7",
                     *           "seq": 7,
                     *           "sessionId": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *           "taskId": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                     *           "ts": "2026-01-01T09:30:00.000Z",
                     *           "status": "running"
                     *         },
                     *         {
                     *           "type": "user_message",
                     *           "cursor": "7",
                     *           "seq": 7,
                     *           "sessionId": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *           "taskId": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                     *           "ts": "2026-01-01T09:30:00.000Z",
                     *           "messageId": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46.0",
                     *           "content": [
                     *             {
                     *               "type": "text",
                     *               "text": "What is a monad?"
                     *             }
                     *           ]
                     *         },
                     *         {
                     *           "type": "text",
                     *           "cursor": "7",
                     *           "seq": 7,
                     *           "sessionId": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *           "taskId": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                     *           "ts": "2026-01-01T09:30:00.000Z",
                     *           "content": "A monoid in the category of"
                     *         },
                     *         {
                     *           "type": "thinking",
                     *           "cursor": "7",
                     *           "seq": 7,
                     *           "sessionId": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *           "taskId": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                     *           "ts": "2026-01-01T09:30:00.000Z",
                     *           "content": "They want it short."
                     *         },
                     *         {
                     *           "type": "tool_use",
                     *           "cursor": "7",
                     *           "seq": 7,
                     *           "sessionId": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *           "taskId": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                     *           "ts": "2026-01-01T09:30:00.000Z",
                     *           "toolUseId": "call_1",
                     *           "toolName": "clock.now",
                     *           "input": {
                     *             "zone": "UTC"
                     *           }
                     *         },
                     *         {
                     *           "type": "tool_result",
                     *           "cursor": "7",
                     *           "seq": 7,
                     *           "sessionId": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *           "taskId": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                     *           "ts": "2026-01-01T09:30:00.000Z",
                     *           "toolUseId": "call_1",
                     *           "output": "09:30",
                     *           "isError": false
                     *         },
                     *         {
                     *           "type": "approval_required",
                     *           "cursor": "7",
                     *           "seq": 7,
                     *           "sessionId": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *           "taskId": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                     *           "ts": "2026-01-01T09:30:00.000Z",
                     *           "approvalId": "0190c2d4-7b02-7e88-b1c9-60d4a2f8e5b7",
                     *           "toolUseId": "call_1",
                     *           "toolName": "clock.now",
                     *           "input": {},
                     *           "inputSha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
                     *           "expiresAt": "2026-01-01T09:30:00.000Z"
                     *         },
                     *         {
                     *           "type": "approval_resolved",
                     *           "cursor": "7",
                     *           "seq": 7,
                     *           "sessionId": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *           "taskId": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                     *           "ts": "2026-01-01T09:30:00.000Z",
                     *           "approvalId": "0190c2d4-7b02-7e88-b1c9-60d4a2f8e5b7",
                     *           "decision": "approved",
                     *           "by": "alice"
                     *         },
                     *         {
                     *           "type": "usage",
                     *           "cursor": "7",
                     *           "seq": 7,
                     *           "sessionId": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *           "taskId": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                     *           "ts": "2026-01-01T09:30:00.000Z",
                     *           "inputTokens": 12,
                     *           "outputTokens": 34,
                     *           "cachedInputTokens": 0,
                     *           "cacheWriteInputTokens": 0,
                     *           "reasoningTokens": 0,
                     *           "costUsd": 0.00042,
                     *           "model": "a-model",
                     *           "fidelity": "exact"
                     *         },
                     *         {
                     *           "type": "completed",
                     *           "cursor": "7",
                     *           "seq": 7,
                     *           "sessionId": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *           "taskId": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                     *           "ts": "2026-01-01T09:30:00.000Z",
                     *           "summary": "A monoid in the category of endofunctors.",
                     *           "tokensUsed": 46,
                     *           "inputTokens": 12,
                     *           "outputTokens": 34,
                     *           "costUsd": 0.00042,
                     *           "model": "a-model"
                     *         },
                     *         {
                     *           "type": "error",
                     *           "cursor": "7",
                     *           "seq": 7,
                     *           "sessionId": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *           "taskId": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                     *           "ts": "2026-01-01T09:30:00.000Z",
                     *           "message": "The engine failed.",
                     *           "code": "EXECUTION_ERROR"
                     *         },
                     *         {
                     *           "type": "cancelled",
                     *           "cursor": "7",
                     *           "seq": 7,
                     *           "sessionId": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *           "taskId": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                     *           "ts": "2026-01-01T09:30:00.000Z",
                     *           "message": "Stopped by the user.",
                     *           "code": "USER_CANCEL"
                     *         },
                     *         {
                     *           "type": "oauth_prompt",
                     *           "cursor": "7",
                     *           "seq": 7,
                     *           "sessionId": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *           "ts": "2026-01-01T09:30:00.000Z",
                     *           "provider": "calendar",
                     *           "url": "https://calendar.example/consent"
                     *         },
                     *         {
                     *           "type": "resume_lost",
                     *           "cursor": "7",
                     *           "seq": 7,
                     *           "sessionId": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *           "taskId": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                     *           "ts": "2026-01-01T09:30:00.000Z",
                     *           "engineType": "claude_code_cli"
                     *         }
                     *       ],
                     *       "nextCursor": "7",
                     *       "headSeq": 7
                     *     }
                     */
                    "application/json": {
                        headSeq: number;
                        items: components["schemas"]["Envelope"][];
                        nextCursor: string;
                    };
                    /**
                     * @example id: 7
                     *     event: session_info
                     *     data: {"type":"session_info","cursor":"7","seq":7,"sessionId":"0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34","ts":"2026-01-01T09:30:00.000Z"}
                     *
                     *     id: 7
                     *     event: task_info
                     *     data: {"type":"task_info","cursor":"7","seq":7,"sessionId":"0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34","taskId":"0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46","ts":"2026-01-01T09:30:00.000Z","status":"running"}
                     */
                    "text/event-stream": string;
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    exportSession: {
        parameters: {
            query?: never;
            header?: {
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path: {
                session_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/x-ndjson": string;
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    listMessages: {
        parameters: {
            query?: {
                after?: string;
                limit?: number;
            };
            header?: {
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path: {
                session_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "items": [
                     *         {
                     *           "id": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46.0",
                     *           "seq": 3,
                     *           "role": "user",
                     *           "content": [
                     *             {
                     *               "type": "text",
                     *               "text": "What is a monad?"
                     *             }
                     *           ],
                     *           "interrupted": false,
                     *           "taskId": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                     *           "createdAt": "2026-01-01T09:30:00.000Z"
                     *         }
                     *       ],
                     *       "nextCursor": null
                     *     }
                     */
                    "application/json": components["schemas"]["MessagesAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    askForConsent: {
        parameters: {
            query?: never;
            header?: {
                /** @description The same key and body within 24 hours is answered with the stored answer. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
                /** @description The token of the session that its system prompt carries. */
                "X-OAuth-Token"?: components["parameters"]["X-OAuth-Token"];
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path: {
                session_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "provider": "calendar",
                 *       "url": "https://calendar.example/consent"
                 *     }
                 */
                "application/json": {
                    provider: string;
                    url: string;
                };
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    /** @description true: this is the stored answer to an earlier request with the same Idempotency-Key. */
                    "Idempotency-Replayed"?: "true";
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "message": "Consent asked for"
                     *     }
                     */
                    "application/json": components["schemas"]["ConsentAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    listTasks: {
        parameters: {
            query?: {
                after?: string;
                limit?: number;
            };
            header?: {
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path: {
                session_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "items": [
                     *         {
                     *           "id": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                     *           "sessionId": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *           "status": "completed",
                     *           "prompt": "What is a monad?",
                     *           "engineType": "claude_api",
                     *           "result": "A monoid in the category of endofunctors.",
                     *           "error": null,
                     *           "stopCode": null,
                     *           "usage": {
                     *             "inputTokens": 12,
                     *             "outputTokens": 34,
                     *             "totalTokens": 46,
                     *             "cachedInputTokens": 0,
                     *             "cacheWriteInputTokens": 0,
                     *             "reasoningTokens": 0,
                     *             "costUsd": 0.00042,
                     *             "model": "a-model",
                     *             "fidelity": "exact"
                     *           },
                     *           "createdAt": "2026-01-01T09:30:00.000Z",
                     *           "startedAt": "2026-01-01T09:30:00.000Z",
                     *           "completedAt": "2026-01-01T09:30:00.000Z",
                     *           "pendingApprovals": []
                     *         }
                     *       ],
                     *       "nextCursor": null
                     *     }
                     */
                    "application/json": components["schemas"]["TasksAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    speak: {
        parameters: {
            query?: never;
            header?: {
                /** @description The same key and body within 24 hours is answered with the stored answer. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path: {
                session_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "multipart/form-data": {
                    /** Format: binary */
                    audio: string;
                    language?: string;
                };
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    /** @description true: this is the stored answer to an earlier request with the same Idempotency-Key. */
                    "Idempotency-Replayed"?: "true";
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "sessionId": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *       "taskId": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                     *       "transcript": "What is a monad?",
                     *       "sessionCreated": false
                     *     }
                     */
                    "application/json": components["schemas"]["SpokenAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    buyTicket: {
        parameters: {
            query?: never;
            header?: {
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Created */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "ticket": "a-ticket-for-one-websocket",
                     *       "expiresAt": "2026-01-01T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["TicketAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    createTask: {
        parameters: {
            query?: never;
            header?: {
                /** @description The same key and body within 24 hours is answered with the stored answer. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "prompt": "What is a monad?",
                 *       "onBusy": "enqueue"
                 *     }
                 */
                "application/json": {
                    /** @default null */
                    allowedTools?: string[] | null;
                    /** @default null */
                    attachments?: {
                        base64Data: string;
                        /** @default null */
                        fileName?: string | null;
                        mediaType: string;
                    }[] | null;
                    /** @default null */
                    deadlineSeconds?: number | null;
                    /** @default null */
                    engineType?: string | null;
                    /** @default null */
                    maxContextMessages?: number | null;
                    /** @default null */
                    maxCostUsd?: number | null;
                    /** @default null */
                    maxOutputTokens?: number | null;
                    /** @default null */
                    maxTurns?: number | null;
                    /** @default null */
                    model?: string | null;
                    /** @default null */
                    onBusy?: ("enqueue" | "interrupt" | "reject") | null;
                    /** @default null */
                    onCrash?: ("fail" | "restart_if_pure" | "resume") | null;
                    prompt: string;
                    /** @default null */
                    sessionId?: string | null;
                    /** @default null */
                    systemPrompt?: string | null;
                    /** @default null */
                    voiceMode?: boolean | null;
                };
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    /** @description true: this is the stored answer to an earlier request with the same Idempotency-Key. */
                    "Idempotency-Replayed"?: "true";
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "sessionId": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *       "taskId": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                     *       "sessionCreated": true,
                     *       "status": "queued"
                     *     }
                     */
                    "application/json": components["schemas"]["AcceptedAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    getTask: {
        parameters: {
            query?: never;
            header?: {
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path: {
                task_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                     *       "sessionId": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *       "status": "completed",
                     *       "prompt": "What is a monad?",
                     *       "engineType": "claude_api",
                     *       "result": "A monoid in the category of endofunctors.",
                     *       "error": null,
                     *       "stopCode": null,
                     *       "usage": {
                     *         "inputTokens": 12,
                     *         "outputTokens": 34,
                     *         "totalTokens": 46,
                     *         "cachedInputTokens": 0,
                     *         "cacheWriteInputTokens": 0,
                     *         "reasoningTokens": 0,
                     *         "costUsd": 0.00042,
                     *         "model": "a-model",
                     *         "fidelity": "exact"
                     *       },
                     *       "createdAt": "2026-01-01T09:30:00.000Z",
                     *       "startedAt": "2026-01-01T09:30:00.000Z",
                     *       "completedAt": "2026-01-01T09:30:00.000Z",
                     *       "pendingApprovals": []
                     *     }
                     */
                    "application/json": components["schemas"]["TaskAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    cancelTask: {
        parameters: {
            query?: {
                wait?: number;
            };
            header?: {
                /** @description The same key and body within 24 hours is answered with the stored answer. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path: {
                task_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    /** @description true: this is the stored answer to an earlier request with the same Idempotency-Key. */
                    "Idempotency-Replayed"?: "true";
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "taskId": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                     *       "status": "cancelled",
                     *       "message": "Task cancelled"
                     *     }
                     */
                    "application/json": components["schemas"]["StoppedAnswer"];
                };
            };
            /** @description Accepted */
            202: {
                headers: {
                    /** @description true: this is the stored answer to an earlier request with the same Idempotency-Key. */
                    "Idempotency-Replayed"?: "true";
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "taskId": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                     *       "status": "cancelling",
                     *       "message": null
                     *     }
                     */
                    "application/json": components["schemas"]["StoppedAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    decideApproval: {
        parameters: {
            query?: never;
            header?: {
                /** @description The same key and body within 24 hours is answered with the stored answer. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path: {
                task_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "approved": false,
                 *       "onReject": "continue",
                 *       "reason": "Not on a Friday."
                 *     }
                 */
                "application/json": {
                    /** @default null */
                    approvalId?: string | null;
                    approved: boolean;
                    /** @default null */
                    inputSha256?: string | null;
                    /** @default null */
                    onReject?: ("cancel" | "continue") | null;
                    /** @default null */
                    reason?: string | null;
                };
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    /** @description true: this is the stored answer to an earlier request with the same Idempotency-Key. */
                    "Idempotency-Replayed"?: "true";
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "message": "Command rejected",
                     *       "taskId": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                     *       "approvalId": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46.a"
                     *     }
                     */
                    "application/json": components["schemas"]["DecidedAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    injectIntoTask: {
        parameters: {
            query?: never;
            header?: {
                /** @description The same key and body within 24 hours is answered with the stored answer. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path: {
                task_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "message": "Shorter, please."
                 *     }
                 */
                "application/json": {
                    /** @default null */
                    attachments?: {
                        base64Data: string;
                        /** @default null */
                        fileName?: string | null;
                        mediaType: string;
                    }[] | null;
                    message: string;
                };
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    /** @description true: this is the stored answer to an earlier request with the same Idempotency-Key. */
                    "Idempotency-Replayed"?: "true";
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "sessionId": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *       "taskId": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                     *       "injected": true
                     *     }
                     */
                    "application/json": components["schemas"]["InjectedAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    transcribe: {
        parameters: {
            query?: never;
            header?: {
                /** @description The same key and body within 24 hours is answered with the stored answer. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "multipart/form-data": {
                    /** Format: binary */
                    audio: string;
                    language?: string;
                };
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    /** @description true: this is the stored answer to an earlier request with the same Idempotency-Key. */
                    "Idempotency-Replayed"?: "true";
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "text": "What is a monad?",
                     *       "language": "en",
                     *       "durationSeconds": 1.4,
                     *       "noSpeechProbability": 0.02
                     *     }
                     */
                    "application/json": components["schemas"]["HeardAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    reportUsage: {
        parameters: {
            query?: {
                from?: string | unknown | unknown;
                groupBy?: "day" | "model" | "session" | "engine";
                to?: string | unknown | unknown;
            };
            header?: {
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "items": [
                     *         {
                     *           "key": "2026-01-01",
                     *           "tasks": 1,
                     *           "calls": 1,
                     *           "inputTokens": 12,
                     *           "outputTokens": 34,
                     *           "totalTokens": 46,
                     *           "audioSeconds": "0",
                     *           "costUsd": "0.00042"
                     *         }
                     *       ],
                     *       "total": {
                     *         "key": null,
                     *         "tasks": 1,
                     *         "calls": 1,
                     *         "inputTokens": 12,
                     *         "outputTokens": 34,
                     *         "totalTokens": 46,
                     *         "audioSeconds": "0",
                     *         "costUsd": "0.00042"
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["ReportAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    listUsageEvents: {
        parameters: {
            query?: {
                limit?: number;
                state?: "pending" | "delivered" | "dead";
            };
            header?: {
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "items": [
                     *         {
                     *           "eventId": "0190c2d4-7a33-7f02-9d41-2b6e8c0f1a57",
                     *           "taskId": "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46",
                     *           "sessionId": "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34",
                     *           "call": "1.1",
                     *           "state": "delivered",
                     *           "attempts": 1,
                     *           "error": null,
                     *           "createdAt": "2026-01-01T09:30:00.000Z"
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["DeliveriesAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    redeliverUsageEvent: {
        parameters: {
            query?: never;
            header?: {
                /** @description The same key and body within 24 hours is answered with the stored answer. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
                /** @description The tenant, where the mode of authentication takes it from here. */
                "X-Tenant-Id"?: components["parameters"]["X-Tenant-Id"];
                /** @description The user, where the mode of authentication takes it from here. */
                "X-User-Id"?: components["parameters"]["X-User-Id"];
            };
            path: {
                event_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Accepted */
            202: {
                headers: {
                    /** @description true: this is the stored answer to an earlier request with the same Idempotency-Key. */
                    "Idempotency-Replayed"?: "true";
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "eventId": "0190c2d4-7a33-7f02-9d41-2b6e8c0f1a57",
                     *       "message": "Event will be sent again"
                     *     }
                     */
                    "application/json": components["schemas"]["RedeliveredAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            409: components["responses"]["Problem409"];
            413: components["responses"]["Problem413"];
            415: components["responses"]["Problem415"];
            422: components["responses"]["Problem422"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    isAlive: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "ok"
                     *     }
                     */
                    "application/json": components["schemas"]["AliveAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    readFigures: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example # HELP agentcore_lanes Sessions that this node has in its hands.
                     *     # TYPE agentcore_lanes gauge
                     *     agentcore_lanes 3.0
                     */
                    "text/plain": string;
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            404: components["responses"]["Problem404"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
    isReady: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "ready": true,
                     *       "reasons": [],
                     *       "degraded": []
                     *     }
                     */
                    "application/json": components["schemas"]["ReadyAnswer"];
                };
            };
            400: components["responses"]["Problem400"];
            401: components["responses"]["Problem401"];
            403: components["responses"]["Problem403"];
            429: components["responses"]["Problem429"];
            503: components["responses"]["Problem503"];
        };
    };
}
