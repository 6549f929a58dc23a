"""Context values of the deployments that are synthesized."""

from __future__ import annotations

from typing import Any

OIDC = {
    "issuer": "https://id.example.com",
    "authorization_endpoint": "https://id.example.com/authorize",
    "token_endpoint": "https://id.example.com/token",
    "user_info_endpoint": "https://id.example.com/userinfo",
    "client_id": "stereo-spot",
    "client_secret_arn": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:oidc-AbCdEf",
}
WITH_DOMAIN: dict[str, Any] = {
    "certificate_arn": "arn:aws:acm:eu-central-1:123456789012:certificate/0c5a9b1e-7d1f-4b0c-8a53-2f5d7b6f3a11",
    "domain_name": "3d.example.com",
    "allowed_cidrs": "198.51.100.0/24,203.0.113.0/24",
    "alarm_email": "operator@example.com",
    "github_repository": "example/stereo-spot",
    "zones": "2",
    "gpu_max": "8",
    "intermediate_days": "10",
    "database_multi_az": "true",
}
