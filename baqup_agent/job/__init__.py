"""What an author's code is handed: the job, its progress, its children, its retries."""
